"""Measures of a window beyond its counts: latency, confidence, predicted classes, named numbers.

It is imported when a program gives the first of them: a board that only counts keeps its memory.
All sums are of integers (window_format.py), so they do not depend on the order of the inferences.
"""

import json
import math

from modelwave_shared.limits import MILLION
from modelwave_shared.window_format import (
    BINS,
    LEAST_MS,
    MAX_CLASSES,
    MAX_METRICS_BYTES,
    MAX_MS,
    MAX_NUMBER,
    MAX_NUMBERS,
    MAX_WORD,
    confidence_bin,
    is_word,
    latency_bin,
    packed,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from modelwave_agent.types import Document

MAX_TRACKED = 64  # classes that a window counts by name; others are counted together
MAX_CLASS = 10**9  # the highest number of a class
AGE_BYTES = 32  # of the field age_seconds, which is written at each sending


class Sample:
    """What one call of `observe` measured; None: it did not."""

    def __init__(
        self, confidence: "Any", predicted: "Any", latency_ms: "Any", numbers: "Any"
    ) -> None:
        """Raises TypeError or ValueError, which name the argument."""
        self.confidence = None if confidence is None else real(confidence, "confidence", 0, 1)
        self.predicted = None if predicted is None else _class(predicted)
        self.latency_ms = None if latency_ms is None else real(latency_ms, "latency_ms", 0, MAX_MS)
        self.limit_us = 0  # above which its latency counts as slow; 0: none is known
        self.numbers: "dict[str, int]" = {}  # in millionths
        if numbers is not None:
            self._take(numbers)

    def limit(self, banks: "list[Any]", release: int) -> None:
        """Takes the limit of `release` from the bank that holds it; an older agent stored none."""
        for bank in banks:
            if bank and bank["release"] == release:
                self.limit_us = bank.get("limit_us", 0)

    def _take(self, numbers: "Any") -> None:
        if not isinstance(numbers, dict):
            told = type(numbers).__name__
            raise TypeError("metrics: give a dict of names and numbers, not a %s" % told)
        for name in numbers:
            if not isinstance(name, str) or not is_word(name):
                allowed = "1 to %d characters of a-z A-Z 0-9 _ . -" % MAX_WORD
                raise ValueError("metrics: %r is no name: %s" % (name, allowed))
            value = real(numbers[name], "metrics[%r]" % name, -MAX_NUMBER, MAX_NUMBER)
            self.numbers[name] = _millionths(value)
        if len(self.numbers) > MAX_NUMBERS:
            told = "metrics: %d numbers, allowed are %d"
            raise ValueError(told % (len(self.numbers), MAX_NUMBERS))


def real(value: "Any", name: str, least: float, most: float) -> float:
    """`value` as a plain number: from an int, a float or a scalar of numpy. Raises TypeError if it
    is none, and ValueError if it is not from `least` to `most` (a NaN is not); both name the
    argument `name`."""
    found = value
    try:
        if hasattr(value, "item"):
            found = value.item()
    except Exception:
        pass  # what it is instead is said below
    if not isinstance(found, (int, float)) or isinstance(found, bool):
        raise TypeError("%s: give a number, not a %s" % (name, type(value).__name__))
    try:
        found = float(found)  # before it is compared: a class of its own may do that in its own way
    except OverflowError:
        found = float("inf")
    if not least <= found <= most:
        raise ValueError("%s: %s, allowed are %d to %d" % (name, found, least, most))
    return found


def _class(value: "Any") -> str:
    """The name of a predicted class, from its number or its name."""
    if isinstance(value, str):
        name = str(value)
        if not is_word(name):
            allowed = "a number, or 1 to %d characters of a-z A-Z 0-9 _ . -" % MAX_WORD
            raise ValueError("predicted: %r is no class: %s" % (name[:MAX_WORD], allowed))
        return name
    number = real(value, "predicted", 0, MAX_CLASS)
    if number != int(number):
        raise TypeError("predicted: give a whole number or a name, not %s" % number)
    return str(int(number))


def _millionths(value: float) -> int:
    return int(value * MILLION + (0.5 if value >= 0 else -0.5))


def _log(value: float) -> int:
    return _millionths(math.log(value))


def _mean(total: int, count: int) -> int:
    """The nearest integer, which is never beyond the least and the greatest of the summands."""
    return (2 * total + count) // (2 * count)


class Number:
    """The values of one named number, in millionths."""

    def __init__(self) -> None:
        self.count = self.total = self.squares = 0
        self.least = self.most = 0
        self.logs: "int | None" = 0  # sum of the logarithms; None: one value was not positive

    def add(self, value: int) -> None:
        self._widen(value, value)
        self.count += 1
        self.total += value
        self.squares += value * value
        if value <= 0:
            self.logs = None
        elif self.logs is not None:
            self.logs += _log(value / MILLION)

    def join(self, other: "Number") -> None:
        self._widen(other.least, other.most)
        self.count += other.count
        self.total += other.total
        self.squares += other.squares
        known = self.logs is not None and other.logs is not None
        self.logs = self.logs + other.logs if known else None  # type: ignore[operator]

    def _widen(self, least: int, most: int) -> None:
        self.least = min(self.least, least) if self.count else least
        self.most = max(self.most, most) if self.count else most

    def told(self) -> "list[int]":
        """Returns the document's form: count, mean, standard deviation, least, greatest, and if
        all values were positive the mean of their natural logarithms."""
        variance = (self.count * self.squares - self.total * self.total) // self.count**2
        mean = _mean(self.total, self.count)
        found = [self.count, mean, int(variance**0.5), self.least, self.most]
        return found if self.logs is None else found + [_mean(self.logs, self.count)]


class Measures:
    """What was measured in one window; the parts that were not are empty."""

    def __init__(self) -> None:
        self.latency: "list[int]" = []
        self.logs = 0  # of the milliseconds, in millionths
        self.over = [0, 0]  # above their limit, and how many were compared with it
        self.confidence: "list[int]" = []
        self.classes: "dict[str, int]" = {}
        self.rest = 0  # predicted classes beyond MAX_TRACKED
        self.numbers: "dict[str, Number]" = {}

    def add(self, sample: Sample) -> None:
        if sample.latency_ms is not None:
            self.latency = self.latency or [0] * BINS
            self.latency[latency_bin(sample.latency_ms)] += 1
            self.logs += _log(max(sample.latency_ms, LEAST_MS))
            if sample.limit_us > 0:
                self.over[1] += 1
                if sample.latency_ms * 1000 > sample.limit_us:
                    self.over[0] += 1
        if sample.confidence is not None:
            self.confidence = self.confidence or [0] * BINS
            self.confidence[confidence_bin(sample.confidence)] += 1
        if sample.predicted is not None:
            self._count(sample.predicted, 1)
        for name in sample.numbers:
            number = self._number(name)
            if number:
                number.add(sample.numbers[name])

    def join(self, other: "Measures") -> None:
        self.latency = _added(self.latency, other.latency)
        self.logs += other.logs
        self.over = _added(self.over, other.over)
        self.confidence = _added(self.confidence, other.confidence)
        self.rest += other.rest
        for name in other.classes:
            self._count(name, other.classes[name])
        for name in other.numbers:
            number = self._number(name)
            if number:
                number.join(other.numbers[name])

    def _count(self, name: str, count: int) -> None:
        if name in self.classes or len(self.classes) < MAX_TRACKED:
            self.classes[name] = self.classes.get(name, 0) + count
        else:
            self.rest += count

    def _number(self, name: str) -> "Number | None":
        """The number of this name; None if that would be one too many."""
        if name not in self.numbers:
            if len(self.numbers) == MAX_NUMBERS:
                return None
            self.numbers[name] = Number()
        return self.numbers[name]

    def _parts(self) -> "list[tuple[str, Any]]":
        """Returns (field, value) of what was measured; each named number is a part of its own."""
        found: "list[tuple[str, Any]]" = []
        if self.latency:
            log = _mean(self.logs, sum(self.latency))
            latency: "dict[str, Any]" = {"bins": packed(self.latency), "log": log}
            if self.over[1]:
                latency["over"] = self.over
            found.append(("latency", latency))
        if self.confidence:
            found.append(("confidence", packed(self.confidence)))
        if self.classes:
            names = sorted(self.classes, key=lambda name: (-self.classes[name], name))
            top = {name: self.classes[name] for name in names[:MAX_CLASSES]}
            found.append(("classes", top))
            rest = self.rest + sum([self.classes[name] for name in names[MAX_CLASSES:]])
            if rest:
                found.append(("classes_rest", rest))
        for name in sorted(self.numbers):
            found.append(("numbers", {name: self.numbers[name].told()}))
        return found

    def spread(self, document: "Document", further: "Callable[[], Document]") -> "list[Document]":
        """Adds what was measured to `document`, and what would make it too long to other documents
        of the same window, which `further` begins. Returns all of them."""
        found, room = [document], _room(document)
        for field, value in self._parts():
            size = len(json.dumps({field: value}))
            if size > room:
                document = further()
                found.append(document)
                room = _room(document)
            room -= size
            if field == "numbers" and field in document:
                document[field].update(value)
            else:
                document[field] = value
        return found


def _room(document: "Document") -> int:
    return MAX_METRICS_BYTES - 1 - AGE_BYTES - len(json.dumps(document))


def _added(some: "list[int]", more: "list[int]") -> "list[int]":
    if not (some and more):
        return some or more
    return [one + other for one, other in zip(some, more)]
