"""Shows held-out metrics of a new release beside those of the one before it."""

from collections.abc import Mapping, Sequence

from modelwave_controller.releases.heldout import Share, points
from modelwave_controller.results.starts import HeldOut, HeldOutShare
from modelwave_shared.limits import MILLION


def metric_rows(found: Mapping[str, HeldOut]) -> list[Sequence[str]]:
    """Returns a row for each target and metric that the new release has, or the one before it."""
    rows: list[Sequence[str]] = []
    for target, one in found.items():
        for name in {**one.new, **one.old}:
            new, old = (_share(of.get(name)) for of in (one.new, one.old))
            rows.append((target, name, new, old, *_difference(one, name)))
    return rows


def _share(found: HeldOutShare | None) -> str:
    return "none" if found is None else str(Share(round(found.share * MILLION), found.n))


def _difference(found: HeldOut, name: str) -> tuple[str, str]:
    """Returns a metric's difference and its interval; "" if only one of the two has it."""
    one = next((one for one in found.compared if one.name == name), None)
    if one is None:
        return "", ""
    worse = ", worse" if one.worse else ""
    interval = f"{points(one.least)} to {points(one.most)}"
    return f"{points(one.difference)} points{worse}", interval
