"""Metrics on held-out data, and the comparison of two releases by them.

A metric is a share of right answers, so more is better: accuracy, recall, 1 less an error rate. In
a manifest's lineage.metrics it is two integers, which agents and controllers of every version read:

    accuracy_ppm   the share, in parts per million
    accuracy_n     how many held-out examples it was measured on, 1 to MAX_EXAMPLES

All other integers there are only shown. Two releases are compared by the interval of the difference
(judge/proportions.py). A release is worse if this interval lies wholly below 0; one whose share is
lower within the interval may be so by chance, which is said. The interval is that of independent
examples. Releases that were measured on the same ones differ less by chance, so that it is on the
safe side for them: what it calls worse is worse.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from modelwave_controller.judge import proportions
from modelwave_shared.limits import MILLION

MAX_EXAMPLES = 10**9
SHARE, COUNT = "_ppm", "_n"  # the ends of the two names of a metric


class Share(NamedTuple):
    ppm: int
    n: int

    @property
    def value(self) -> float:
        return self.ppm / MILLION

    def __str__(self) -> str:
        value = f"{self.value:.6f}".rstrip("0").rstrip(".")
        return f"{value} (n={self.n})"


def recorded(name: str, share: Share) -> dict[str, int]:
    """Returns the integers that lineage.metrics has of a metric."""
    return {name + SHARE: share.ppm, name + COUNT: share.n}


def shares(metrics: Mapping[str, int]) -> dict[str, Share]:
    """Returns the metrics that have a count, by name, of a manifest's lineage.metrics."""
    names = [key.removesuffix(SHARE) for key in metrics if key.endswith(SHARE)]
    found = {
        name: Share(metrics[name + SHARE], metrics[name + COUNT])
        for name in names
        if name and name + COUNT in metrics
    }
    return {
        name: share
        for name, share in found.items()
        if 0 <= share.ppm <= MILLION and 1 <= share.n <= MAX_EXAMPLES
    }


def others(metrics: Mapping[str, int]) -> dict[str, int]:
    """Returns the integers of lineage.metrics that belong to no metric with a count."""
    counted = {key for name, share in shares(metrics).items() for key in recorded(name, share)}
    return {key: number for key, number in metrics.items() if key not in counted}


@dataclass(frozen=True)
class Compared:
    """One metric of a new and of an old release. The difference is new less old, the interval is
    one of 95 %; all are shares."""

    name: str
    new: Share
    old: Share
    difference: float
    least: float
    most: float

    @property
    def worse(self) -> bool:
        return self.most < 0

    def told(self, old: str) -> str:
        """Returns the comparison in words; `old` names the old release."""
        words = (
            f"{self.name} {self.new} beside {self.old} of {old}: "
            f"difference {points(self.difference)} points, "
            f"95 % interval {points(self.least)} to {points(self.most)}"
        )
        if self.worse:
            return f"{words}: worse"
        return f"{words}: lower, which may be chance" if self.difference < 0 else words

    def json(self) -> dict[str, Any]:
        shown = asdict(self) | {"worse": self.worse}
        return shown | {"new": json_share(self.new), "old": json_share(self.old)}


def compare(new: Mapping[str, Share], old: Mapping[str, Share]) -> list[Compared]:
    """Compares the metrics that both have, in the order of the new release."""
    return [_compared(name, new[name], old[name]) for name in new if name in old]


def _compared(name: str, new: Share, old: Share) -> Compared:
    interval = proportions.difference(new.value, new.n, old.value, old.n)
    difference = (new.ppm - old.ppm) / MILLION
    return Compared(name, new, old, difference, interval.least, interval.most)


def points(share: float) -> str:
    """Returns a difference in percentage points, with as many digits as a small one needs."""
    value = 100 * share
    return f"{value:+.1f}" if value == 0 or abs(value) >= 0.05 else f"{value:+.1g}"


def json_share(share: Share) -> dict[str, Any]:
    return {"share": share.value, "n": share.n}


def json_shares(found: Mapping[str, Share]) -> dict[str, Any]:
    return {name: json_share(share) for name, share in found.items()}


def listed(metrics: Mapping[str, int]) -> str:
    """Returns a manifest's lineage.metrics in words: "accuracy 0.968 (n=360), epochs 12"."""
    pairs: Iterable[tuple[str, object]] = (*shares(metrics).items(), *others(metrics).items())
    return ", ".join(f"{name} {value}" for name, value in pairs) or "none"
