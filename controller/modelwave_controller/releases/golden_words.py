"""Says in words what a release's golden set asks of a device, from the manifest and from the head
of the set's file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelwave_controller.phrases import plural
from modelwave_controller.releases.golden_archives import ZIP_MAGIC
from modelwave_shared import golden
from modelwave_shared.limits import MILLION
from modelwave_shared.words import TENSORS


def told(manifest: Mapping[str, Any], file: Path) -> str:
    """Returns a sentence. `file`: the golden set, which need not be there."""
    tolerance = _tolerance(manifest["tolerance"])
    if not file.exists():
        return f"{tolerance}; its file is not in this home"
    return f"{_records(file)}: {tolerance}"


def _records(file: Path) -> str:
    with open(file, "rb") as opened:
        head = opened.read(golden.HEADER_BYTES)
    if head.startswith(ZIP_MAGIC):
        return "an .npz"
    try:
        header = golden.Header(head)
    except golden.GoldenError:
        return "a set of another program"
    what = "right classes" if header.kind == golden.LABELS else "expected outputs"
    return f"{plural(header.count, 'input')} with {what}"


def _tolerance(tolerance: Mapping[str, Any]) -> str:
    if tolerance["kind"] == TENSORS:
        return "; ".join(f"{name}: {_judged(one)}" for name, one in tolerance["outputs"].items())
    if tolerance["kind"] == "labels":
        return f"at least {_share(tolerance['least_ppm'])} of the answers have to be right"
    return f"each output may be off by {_by_runtime(tolerance['steps'])} steps or millionths"


def _judged(one: Mapping[str, Any]) -> str:
    if one["judge"] == "labels":
        return f"at least {_share(one['least_ppm'])} of the answers have to be right"
    if one["judge"] == "boxes":
        return (
            f"at least {_share(one['least_ppm'])} of the boxes have to be found, with an overlap "
            f"of {_share(one['iou_ppm'])} and a score at most {_share(one['score_ppm'])} off"
        )
    more = f", and {_by_runtime(one['relative'])} ppm of it" if "relative" in one else ""
    return f"each element may be off by {_by_runtime(one['absolute'])} steps or millionths{more}"


def _by_runtime(figures: Mapping[str, int]) -> str:
    if list(figures) == ["any"]:
        return str(figures["any"])
    names = {"any": "all others"}
    return ", ".join(f"{number} ({names.get(name, name)})" for name, number in figures.items())


def _share(ppm: int) -> str:
    return f"{100 * ppm / MILLION:g} %"
