"""What was measured in windows beyond the counts, as it is stored and as it is put together. Pure.

The stored form is that of metrics documents (modelwave_shared/window_format.py), with short keys.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from modelwave_controller.trust.documents import Metrics
from modelwave_shared.limits import MILLION
from modelwave_shared.window_format import BINS, MAX_CLASSES, MAX_NUMBERS, packed, unpacked


@dataclass(frozen=True)
class NumberSummary:
    """The values of one named number. `log`: the mean of their natural logarithms, None if one of
    them was not positive."""

    count: int
    mean: float
    deviation: float
    least: float
    most: float
    log: float | None

    @property
    def total(self) -> float:
        return self.count * self.mean

    @property
    def squares(self) -> float:
        """The sum of the squares of the values."""
        return self.count * (self.mean**2 + self.deviation**2)

    def joined(self, other: "NumberSummary") -> "NumberSummary":
        """Returns the summary of the values of both."""
        count = self.count + other.count
        mean = (self.total + other.total) / count
        off = self.count * (self.mean - mean) ** 2 + other.count * (other.mean - mean) ** 2
        within = self.count * self.deviation**2 + other.count * other.deviation**2
        log = None
        if self.log is not None and other.log is not None:
            log = (self.count * self.log + other.count * other.log) / count
        least, most = min(self.least, other.least), max(self.most, other.most)
        return NumberSummary(count, mean, ((off + within) / count) ** 0.5, least, most, log)

    def dump(self) -> list[int]:
        values = [self.mean, self.deviation, self.least, self.most]
        if self.log is not None:
            values.append(self.log)
        return [self.count, *(round(MILLION * value) for value in values)]


@dataclass(frozen=True)
class WindowMeasures:
    """`latency` and `confidence`: inferences by bin, empty if they were not measured. `classes`: by
    predicted class; `classes_rest`: of all others. `compared`: outputs of a release that ran beside
    the live one that were compared with that one's, `agreed`: those that agreed. `over`: how many
    took longer than the limit of their release, and how many were compared with it."""

    latency: list[int] = field(default_factory=list)
    confidence: list[int] = field(default_factory=list)
    classes: dict[str, int] = field(default_factory=dict)
    classes_rest: int = 0
    numbers: dict[str, NumberSummary] = field(default_factory=dict)
    compared: int = 0
    agreed: int = 0
    over: tuple[int, int] = (0, 0)

    def joined(self, other: "WindowMeasures") -> "WindowMeasures":
        """Returns what was measured in both."""
        classes = dict(self.classes)
        for name, count in other.classes.items():
            classes[name] = classes.get(name, 0) + count
        numbers = dict(self.numbers)
        for name, number in sorted(other.numbers.items()):
            if name in numbers:
                numbers[name] = numbers[name].joined(number)
            elif len(numbers) < MAX_NUMBERS:
                numbers[name] = number
        top = sorted(classes, key=lambda name: (-classes[name], name))
        rest = sum(classes[name] for name in top[MAX_CLASSES:])
        return WindowMeasures(
            _added(self.latency, other.latency),
            _added(self.confidence, other.confidence),
            {name: classes[name] for name in top[:MAX_CLASSES]},
            self.classes_rest + other.classes_rest + rest,
            numbers,
            self.compared + other.compared,
            self.agreed + other.agreed,
            (self.over[0] + other.over[0], self.over[1] + other.over[1]),
        )

    def dump(self) -> str:
        parts = {
            "l": packed(self.latency) if self.latency else None,
            "c": packed(self.confidence) if self.confidence else None,
            "k": self.classes,
            "r": self.classes_rest,
            "n": {name: number.dump() for name, number in self.numbers.items()},
            "o": self.over if self.over[1] else None,
            "s": [self.compared, self.agreed] if self.compared else None,
        }
        return _compact({key: part for key, part in parts.items() if part})


def load(stored: str) -> WindowMeasures:
    """Returns what `dump` has stored."""
    found: dict[str, Any] = json.loads(stored) if stored else {}
    compared, agreed = found.get("s", (0, 0))
    return WindowMeasures(
        unpacked(found["l"]) if "l" in found else [],
        unpacked(found["c"]) if "c" in found else [],
        found.get("k", {}),
        found.get("r", 0),
        {name: _number(values) for name, values in found.get("n", {}).items()},
        compared,
        agreed,
        tuple(found.get("o", (0, 0))),
    )


def load_latency(stored: str) -> list[int]:
    """Returns the histogram of latencies that `dump` has stored."""
    found: dict[str, Any] = json.loads(stored) if stored else {}
    return unpacked(found["l"]) if "l" in found else []


def joined(stored: str, other: str) -> str:
    """Returns the stored form of both together."""
    if not (stored and other):
        return stored or other
    return load(stored).joined(load(other)).dump()


def of_document(metrics: Metrics) -> str:
    """Returns the stored form of what a document has."""
    parts = {
        "l": metrics.latency.get("bins"),
        "c": metrics.confidence,
        "k": metrics.classes,
        "r": metrics.classes_rest,
        "n": metrics.numbers,
        "o": metrics.latency.get("over"),
        "s": [metrics.compared, metrics.agreed] if metrics.compared else None,
    }
    return _compact({key: part for key, part in parts.items() if part})


def _compact(parts: dict[str, Any]) -> str:
    return json.dumps(parts, separators=(",", ":")) if parts else ""


def _number(values: list[int]) -> NumberSummary:
    count, mean, deviation, least, most, *log = values
    return NumberSummary(
        count,
        mean / MILLION,
        deviation / MILLION,
        least / MILLION,
        most / MILLION,
        log[0] / MILLION if log else None,
    )


def _added(some: list[int], more: list[int]) -> list[int]:
    if not (some and more):
        return some or more
    return [some[number] + more[number] for number in range(BINS)]
