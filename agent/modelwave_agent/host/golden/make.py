"""Makes a golden set: runs the model in each configuration of each runtime, and if it gives floats
with several numbers of threads; takes the outputs of the reference (this interpreter's runtime,
without a delegate), and proposes a tolerance from how far the others are from it."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from modelwave_agent.host.golden import board_form, distances, proposals, runs, writing
from modelwave_agent.host.golden.archive import CLASSES, INPUTS, Archive, Array
from modelwave_agent.host.golden.children import StepError, say
from modelwave_agent.host.golden.distances import Apart
from modelwave_agent.host.golden.judges import ANY
from modelwave_agent.host.golden.judges import make as make_judge
from modelwave_agent.host.golden.labels import read as read_labels
from modelwave_agent.host.golden.runs import Order, Run
from modelwave_agent.host.golden.weakness import weakness
from modelwave_agent.host.proving import PROOF_SECONDS
from modelwave_shared.golden import GoldenError
from modelwave_shared.tensors import MAX_OUTPUTS
from modelwave_shared.words import TENSORS

# Of the tolerance in JSON: the envelope of a manifest has 4 KiB, and it is in base64 there.
MAX_TOLERANCE_CHARACTERS = 1000
LONG_SECONDS = PROOF_SECONDS / 3  # a device may be slower than this machine


@dataclass(frozen=True)
class Measured:
    """A run, how far each of its outputs is from the reference, and whether devices may run so."""

    run: Run
    outputs: dict[str, Apart]
    is_allowed: bool


def make(order: Order) -> dict[str, Any]:
    """Writes the set and returns what it is. Raises GoldenError, StepError (the reference could not
    be run) and OSError."""
    reference = runs.run(order, sys.executable, ())
    _require_numbers(reference)
    others, problems = _others(order, reference)
    usual = distances.sizes(reference.archive)
    measured = [
        Measured(
            run,
            distances.apart(reference.archive, run.archive, usual),
            runs.is_allowed(order, run),
        )
        for run in (reference, *others)
    ]
    outputs = [spec["name"] for spec in reference.said["outputs"]]
    labels = read_labels(order.labels, outputs, reference.said["records"])
    rules = _rules([one for one in measured if one.is_allowed], usual, labels)
    tolerance: dict[str, Any] = {"kind": TENSORS, "outputs": rules}
    if order.binary:
        tolerance = board_form.write(order.out, reference, rules, labels)
    else:
        described = _description(order, reference, tolerance)
        writing.write(order.out, _arrays(reference, rules, labels), described)
    if why := weakness(str(order.out), tolerance):
        raise GoldenError(f"the golden set cannot fail: {why}")
    return {
        "bytes": order.out.stat().st_size,
        "form": "binary" if order.binary else "npz",
        "records": reference.said["records"],
        "reference": _named(reference),
        "configurations": _shown(measured),
        "problems": problems,
        "remarks": _remarks(reference, rules),
        "tolerance": tolerance,
        "loading": dict(order.loading),
        "random": bool(order.random),
    }


def _others(order: Order, reference: Run) -> tuple[list[Run], list[dict[str, str]]]:
    """Returns the runs of the other configurations, and the problems of those that failed."""
    found, problems = [], dict[str, str]()
    for place, (python, delegates, threads) in enumerate(runs.others(order, reference), start=1):
        named = "+".join((python, *delegates))
        if named in problems:
            continue
        try:
            found.append(runs.run(order, python, delegates, threads, place))
        except StepError as error:
            problems[named] = str(error)
            say(f"{named}: {error}")
    return found, [{"python": name, "problem": problem} for name, problem in problems.items()]


def _remarks(reference: Run, rules: Mapping[str, Any]) -> list[str]:
    """Returns what a person should know of the set."""
    found = []
    for spec in reference.said["outputs"]:
        if spec["name"] in rules:
            found += proposals.remarks(spec["name"], spec["dtype"], rules[spec["name"]])
    judged = {output for name, rule in rules.items() for output in _read_by(name, rule)}
    left = [spec["name"] for spec in reference.said["outputs"] if spec["name"] not in judged]
    if left:
        found.append(f"not judged, as a manifest has no place for more: {', '.join(left)}")
    if reference.said["seconds"] > LONG_SECONDS:
        found.append(
            f"the set took {reference.said['seconds']:.0f} s here, and devices give it "
            f"{PROOF_SECONDS} s (runtime.proof_seconds); take fewer records"
        )
    return found


def _read_by(output: str, rule: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the outputs that a rule reads."""
    return make_judge(output, {"absolute": {ANY: 0}, **rule}, ANY).outputs


def _named(run: Run) -> str:
    return f"{run.configuration} {run.said['version']}"


def _require_numbers(reference: Run) -> None:
    """Raises GoldenError for an output that no model can match."""
    with Archive(str(reference.archive)) as archive:
        for index, row in enumerate(archive.rows()):
            for name, array in row.items():
                if array.dtype.kind in "fc" and numpy.isnan(array).any():
                    raise GoldenError(
                        f"{name}: a NaN in record {index}, which no model can match; take other "
                        "inputs"
                    )


def _rules(
    measured: Sequence[Measured], usual: Mapping[str, float], labels: Mapping[str, Array]
) -> dict[str, Any]:
    """Returns {output: rule}; the reference is the first of `measured`."""
    specs = list(measured[0].run.said["outputs"])
    if proposals.is_detector(specs) and not labels:
        names = [spec["name"] for spec in specs]
        rule = proposals.boxes(names)
        return {names[0]: proposals.boxes_reached(rule, _shares(measured, names[0], rule, {}))}
    rules = {}
    for spec in specs:
        name = spec["name"]
        if name in labels:
            rule = {"judge": "labels", "least_ppm": 1}
            rules[name] = proposals.labels(_shares(measured, name, rule, labels))
        else:
            found = _greatest(measured, name)
            rules[name] = proposals.elements(spec["dtype"], usual.get(name, 0), found)
    if _is_long(rules):
        rules = {name: proposals.fewer_figures(rule) for name, rule in rules.items()}
    while _is_long(rules):
        rules.popitem()
    return rules


def _is_long(rules: Mapping[str, Any]) -> bool:
    """Whether a manifest has no place for the rules."""
    return len(rules) > MAX_OUTPUTS or len(json.dumps(rules)) > MAX_TOLERANCE_CHARACTERS


def _greatest(measured: Iterable[Measured], output: str) -> dict[str, Apart]:
    """Returns {configuration: its greatest distance}; it was run with several numbers of threads,
    and two interpreters may have it in two versions."""
    found: dict[str, Apart] = {}
    for one in measured:
        name = one.run.configuration
        found[name] = one.outputs[output].or_farther(found.get(name, Apart()))
    return found


def _shares(
    measured: Sequence[Measured], output: str, rule: Mapping[str, Any], labels: Mapping[str, Array]
) -> list[tuple[int, int]]:
    """Returns (right, all) of one output's judge, for each run."""
    found = []
    for one in measured:
        judge = make_judge(output, rule, one.run.configuration)
        for outputs, expected in runs.pairs(measured[0].run, one.run, labels):
            judge.add(outputs, expected)
        found.append((judge.right, judge.seen))
    return found


def _arrays(
    reference: Run, rules: Mapping[str, Any], labels: Mapping[str, Array]
) -> dict[str, Array]:
    """Returns the arrays of the set: inputs, and what the rules judge by."""
    wanted = [
        array
        for name, rule in rules.items()
        for array in make_judge(name, rule, reference.configuration).expected
    ]
    with Archive(str(reference.archive)) as archive:
        kept = [name for name in archive.arrays if name.startswith(INPUTS) or name in wanted]
        rows = [{name: row[name] for name in kept} for row in archive.rows()]
    arrays = {name: numpy.stack([row[name] for row in rows]) for name in kept}
    return arrays | {CLASSES + name: array.astype("<i4") for name, array in labels.items()}


def _description(order: Order, reference: Run, tolerance: Mapping[str, Any]) -> dict[str, Any]:
    """Returns golden.json."""
    described: dict[str, Any] = {
        "format": order.format,
        "tolerance": tolerance,
        "reference": _named(reference),
        "inputs": "random" if order.random else "given",
    }
    if order.loading:
        described["loading"] = dict(order.loading)
    return described


def _shown(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """Returns an entry for each configuration in each version."""
    types = {spec["name"]: spec["dtype"] for spec in measured[0].run.said["outputs"]}
    grouped: dict[str, list[Measured]] = {}
    for one in measured:
        grouped.setdefault(_named(one.run), []).append(one)
    return [
        {
            "configuration": group[0].run.configuration,
            "version": group[0].run.said["version"],
            "in_tolerance": group[0].is_allowed,
            "outputs": {
                name: {
                    **_greatest(group, name)[group[0].run.configuration].json(),
                    "unit": distances.unit(dtype),
                }
                for name, dtype in types.items()
            },
        }
        for group in grouped.values()
    ]
