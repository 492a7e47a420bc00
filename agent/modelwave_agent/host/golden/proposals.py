"""Proposes a tolerance for a golden set, from the distances that were measured:

8 and 16 bits   each configuration that was measured: twice its distance, at least 1 step;
                any other: four times the greatest distance, at least 8 steps, at most an
                eighth of the type's range, or the greatest figure of one that was measured
other integers  the same factors, but no least: they are mostly counts and places
floats          the same factors of the relative distance, at least 200 ppm and 1,000 ppm (half
                precision: 1,000 and 10,000); `absolute` is that part of the output's usual size
texts           equal
labels          95 % of the share that the worst configuration reaches
boxes           80 % overlap, a score within 0.1, and 95 % of the boxes; less where a
                configuration that was measured does not reach that
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy

from modelwave_agent.host.golden.distances import Apart
from modelwave_agent.host.golden.judges import ANY
from modelwave_shared.limits import MAX_SEQ, MILLION

MEASURED_FACTOR, ANY_FACTOR = 2, 4
_LEAST_STEPS = {True: (1, 8), False: (0, 0)}  # {whether they are quantised: (measured, any)}
_LEAST_PPM = {"<f2": (1000, 10_000)}
# Another kind of processor sums floats in another order, too, and is seldom at hand.
_LEAST_PPM_ELSE = (200, 1000)
WIDE_PPM = 50_000
_LABELS_KEPT = 0.95
_BOXES = {"iou_ppm": 800_000, "score_ppm": 100_000, "least_ppm": 950_000}


def elements(dtype: str, usual: float, found: Mapping[str, Apart]) -> dict[str, Any]:
    """Returns the rule for an output of this type and usual size. `found`: {configuration: how far
    it is from the reference}."""
    rule: dict[str, Any] = {"judge": "elements"}
    if dtype[1] in "SU":
        return rule | {"absolute": {ANY: 0}}
    greatest = max((one.worst for one in found.values()), default=0)
    if dtype[1] in "bui":
        least = _LEAST_STEPS[dtype[1] in "ui" and int(dtype[2:]) <= 2]
        steps = {name: _steps(one.worst, MEASURED_FACTOR, least[0]) for name, one in found.items()}
        most = max([wide(dtype), *steps.values()])
        any_ = min(most, _steps(greatest, ANY_FACTOR, least[1]))
        return rule | {"absolute": {**steps, ANY: any_}}
    least = _LEAST_PPM.get(dtype, _LEAST_PPM_ELSE)
    greatest = max((one.relative_ppm for one in found.values()), default=0)
    relative = {
        name: _steps(one.relative_ppm, MEASURED_FACTOR, least[0]) for name, one in found.items()
    }
    relative[ANY] = _steps(greatest, ANY_FACTOR, least[1])
    absolute = {name: round(ppm * usual) for name, ppm in relative.items()}
    return rule | {"absolute": absolute, "relative": relative}


def wide(dtype: str) -> int:
    """Returns the figure of an elements' rule from which on a set notices little: an eighth of a
    type's range, or 50,000 ppm of floats."""
    return 2 ** (8 * int(dtype[2:])) // 8 if dtype[1] in "bui" else WIDE_PPM


def remarks(output: str, dtype: str, rule: Mapping[str, Any]) -> list[str]:
    """Returns what a person should know of a proposed rule."""
    if rule["judge"] != "elements" or dtype[1] in "SU":
        return []
    unit = "steps" if dtype[1] in "bui" else "ppm"
    figures = rule["absolute"] if unit == "steps" else rule["relative"]
    return [
        f"{name} is so far from the reference in {output} that {figure} {unit} are allowed: with "
        "it the set notices little; keep it off devices, or judge by --labels"
        for name, figure in figures.items()
        if name != ANY and figure > wide(dtype)
    ]


def _steps(measured: float, factor: int, least: int) -> int:
    return int(min(max(least, numpy.ceil(measured) * factor), MAX_SEQ))


def fewer_figures(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the rule with its greatest figures alone, as `any`, for a manifest with many
    outputs."""
    kept = dict(rule)
    for field in ("absolute", "relative"):
        if field in kept:
            kept[field] = {ANY: max(kept[field].values())}
    return kept


def labels(shares: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """`shares`: (right, all) of each configuration."""
    worst = min(right / seen for right, seen in shares)
    return {"judge": "labels", "least_ppm": max(1, int(worst * _LABELS_KEPT * MILLION))}


def boxes(outputs: list[str]) -> dict[str, Any]:
    """Returns the rule for a detector's outputs: boxes, classes, scores and their number."""
    return {
        "judge": "boxes",
        **dict(zip(("classes", "scores", "count"), outputs[1:], strict=True)),
    } | _BOXES


def boxes_reached(rule: Mapping[str, Any], shares: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Returns the rule with a least share that all configurations reach."""
    worst = min((right / seen for right, seen in shares if seen), default=1.0)
    least = min(rule["least_ppm"], int(worst * _LABELS_KEPT * MILLION))
    return {**rule, "least_ppm": max(1, least)}


def is_detector(specs: list[dict[str, Any]]) -> bool:
    """Whether the outputs are those of TensorFlow's detectors: boxes [1, n, 4], classes [1, n],
    scores [1, n] and their number [1]."""
    shapes = [tuple(spec["shape"]) for spec in specs]
    if len(shapes) != 4 or len(shapes[0]) != 3 or any(one["dtype"] != "<f4" for one in specs):
        return False
    rows = shapes[0][1]
    return rows > 1 and shapes == [(1, rows, 4), (1, rows), (1, rows), (1,)]
