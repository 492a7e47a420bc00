"""Compares the candidate's outputs with those of the live model, by the tolerance of the
candidate's manifest.

    labels    both have their greatest value at the same place
    outputs   the same type and number of elements, none of which differs by more than the steps:
              of the last digit of integers, of millionths of floats (golden.py)
    tensors   each output that the tolerance names, by its judge: elements and boxes as a golden set
              whose expected outputs are those of the live model (golden/judges.py), boxes also the
              other way round; labels as above

Outputs of the same bytes always agree. Those that are no numbers agree in no other way, and a NaN
agrees with nothing. An output that the live model does not have agrees with nothing; if both have
only one, its name does not matter.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy

from modelwave_agent.host.golden import judges
from modelwave_agent.host.golden.archive import EXPECTED
from modelwave_shared.golden import GoldenError
from modelwave_shared.limits import MILLION

if TYPE_CHECKING:
    from modelwave_agent.host.given import Arrays

LABELS, TENSORS = "labels", "tensors"
ELEMENTS = "elements"


def by_classes(tolerance: Any) -> Any:
    """Returns the tolerance by which the outputs of two different networks agree: those of classes
    and boxes are compared, other elements only if there is nothing else, and then by the place of
    the greatest one."""
    if tolerance["kind"] != TENSORS:
        return {"kind": LABELS}
    rules = tolerance["outputs"]
    kept = {name: rule for name, rule in rules.items() if rule["judge"] != ELEMENTS}
    return {"kind": TENSORS, "outputs": kept or {name: {"judge": LABELS} for name in rules}}


def agree(outputs: "Arrays", live: "Arrays", tolerance: Any, configuration: str) -> bool:
    """Whether the outputs of both models agree by `tolerance`, a manifest's field.
    `configuration`: that of the candidate's runtime, as there."""
    live = _named_as(outputs, live)
    if tolerance["kind"] == TENSORS:
        return all(
            _judged(name, rule, outputs, live, configuration)
            for name, rule in tolerance["outputs"].items()
        )
    name = next(iter(outputs))
    if name not in live:
        return False
    output, other = outputs[name], live[name]
    if are_same(output, other):
        return True
    if tolerance["kind"] == LABELS:
        return _greatest_agree(output, other)
    steps = tolerance["steps"].get(configuration, tolerance["steps"].get(judges.ANY))
    return steps is not None and _within(output, other, steps)


def predicted(outputs: "Arrays", tolerance: Any) -> int | None:
    """Returns the class that the candidate predicts: the place of the greatest element of the first
    output that is judged by its label. None if there is none."""
    rules = tolerance["outputs"] if tolerance["kind"] == TENSORS else {}
    names = [name for name, rule in rules.items() if rule["judge"] == LABELS and name in outputs]
    if tolerance["kind"] == LABELS:
        names = list(outputs)
    return greatest(outputs[names[0]]) if names else None


def _named_as(outputs: "Arrays", live: "Arrays") -> "Arrays":
    if len(outputs) == len(live) == 1:
        return dict(zip(outputs, live.values(), strict=True))
    return live


def _judged(
    name: str, rule: Mapping[str, Any], outputs: "Arrays", live: "Arrays", configuration: str
) -> bool:
    needed = [name, *(rule[role] for role in ("classes", "scores", "count") if role in rule)]
    if any(one not in outputs or one not in live for one in needed):
        return False
    if all(are_same(outputs[one], live[one]) for one in needed):
        return True
    if rule["judge"] == LABELS:
        return _greatest_agree(outputs[name], live[name])
    try:
        judge = judges.make(name, rule, configuration)
        both = [_count(judge, outputs, live)]
        if rule["judge"] != ELEMENTS:
            both.append(_count(judge, live, outputs))  # else boxes that are too many would agree
    except GoldenError:  # other types or shapes, or no figure for this runtime
        return False
    return all(judge.is_enough(right, seen) for right, seen in both)


def _count(judge: judges.OutputJudge, outputs: "Arrays", expected: "Arrays") -> tuple[int, int]:
    return judge.count(outputs, {EXPECTED + name: expected[name] for name in judge.outputs})


def are_same(output: Any, live: Any) -> bool:
    """Whether two arrays have the same type and bytes."""
    return bool(output.dtype == live.dtype and output.tobytes() == live.tobytes())


def _greatest_agree(output: Any, live: Any) -> bool:
    place = greatest(output)
    return place is not None and place == greatest(live)


def _within(output: Any, live: Any, steps: int) -> bool:
    if not (is_numeric(output) and is_numeric(live)):
        return False
    if output.dtype != live.dtype or output.size != live.size:
        return False
    with numpy.errstate(all="ignore"):
        off = output.reshape(-1).astype(numpy.float64) - live.reshape(-1).astype(numpy.float64)
        off = numpy.abs(off)
        if output.dtype.kind == "f":
            off = off * MILLION - 0.5
        return bool((off <= steps).all())


def is_numeric(array: Any) -> bool:
    return array.dtype.kind in "iuf" and array.size > 0


def greatest(array: Any) -> int | None:
    """The place of the first greatest number; None if there is a NaN, or no number."""
    if not is_numeric(array):
        return None
    flat = array.reshape(-1)
    place = int(flat.argmax())  # of the first NaN, if there is one
    return None if flat[place] != flat[place] else place
