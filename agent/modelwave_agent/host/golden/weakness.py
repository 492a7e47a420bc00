"""Finds golden sets that cannot fail: those that a model passes which always answers the same.

    elements  within the tolerance of all records, there is one answer for all of them (from two
              records on), or one value for all elements of all outputs
    labels    the share of the commonest label is enough
    boxes     no record expects a box, or all (from two on) expect the same ones

A set is refused if this holds for all outputs that it judges.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy

from modelwave_agent.host.golden.archive import EXPECTED, Array, Arrays
from modelwave_agent.host.golden.judges import ANY, TEXTS, allowed, label_of, numbers, texts
from modelwave_agent.host.golden.sets import GoldenSet
from modelwave_shared.limits import MILLION

MORE = "take more records, of different outputs"


def weakness(path: str, tolerance: Mapping[str, Any]) -> str:
    """Returns why the golden set cannot fail by this tolerance, "" if it can. Raises GoldenError if
    the set is damaged or does not match the tolerance, and OSError."""
    with GoldenSet(path) as golden:
        rules = golden.rules(tolerance)
        golden.judges(tolerance, _some_configuration(rules))  # raises if it has no such arrays
        watches = [_watch(*rule, golden.records) for rule in rules.items()]
        for row in golden.rows():
            for watch in watches:
                watch.add(row)
    reasons = [watch.weakness() for watch in watches]
    return "; ".join(reasons) if all(reasons) else ""


def _some_configuration(rules: Mapping[str, Any]) -> str:
    """Returns a configuration for which the tolerance has figures."""
    first = next(iter(rules.values()))
    return str(next(iter(first.get("absolute", {ANY: 0}))))


def _watch(output: str, rule: Mapping[str, Any], records: int) -> "_Elements | _Labels | _Boxes":
    kinds: dict[str, Any] = {"elements": _Elements, "labels": _Labels, "boxes": _Boxes}
    made: _Elements | _Labels | _Boxes = kinds[rule["judge"]](output, rule, records)
    return made


def _said(output: str) -> str:
    return f"output {output}" if output else "its output"  # the binary form has no names


class _Elements:
    """For each configuration, the span of answers that are right in all records so far."""

    def __init__(self, output: str, rule: Mapping[str, Any], records: int) -> None:
        self.output = output
        self.records = records
        self.relative = rule.get("relative", {})
        self.absolute = rule["absolute"]
        self.spans: dict[str, tuple[Array, Array]] = {}
        self.first: Any = None
        self.is_same_text = True

    def add(self, row: Arrays) -> None:
        wanted = row[EXPECTED + self.output]
        if wanted.dtype.kind in TEXTS:
            said = texts(wanted).tolist()
            self.first = said if self.first is None else self.first
            self.is_same_text = self.is_same_text and said == self.first
            return
        unit = 1 if wanted.dtype.kind in "bui" else MILLION
        parts = [wanted.real, wanted.imag] if wanted.dtype.kind == "c" else [wanted]
        values = numpy.stack([part.astype(numpy.float64) for part in parts]) * unit
        for name, absolute in self.absolute.items():
            relative = self.relative.get(name, self.relative.get(ANY, 0))
            off = allowed(wanted, absolute, relative)
            least, most = values - off, values + off
            if name in self.spans:
                least = numpy.maximum(least, self.spans[name][0])
                most = numpy.minimum(most, self.spans[name][1])
            self.spans[name] = least, most

    def weakness(self) -> str:
        if not self.spans:
            same = self.is_same_text and self.records > 1
            return f"{_said(self.output)}: all records expect the same text; {MORE}" if same else ""
        for name, (least, most) in self.spans.items():
            if bool((least.max() <= most.min()).all()):
                return (
                    f"{_said(self.output)}: a model whose outputs are all one same number passes "
                    f"it ({name}={self.absolute[name]}); lower the tolerance, or {MORE}"
                )
            if self.records > 1 and bool((least <= most).all()):
                return (
                    f"{_said(self.output)}: a model that answers all {self.records} records alike "
                    f"passes it ({name}={self.absolute[name]}); lower the tolerance, or {MORE}"
                )
        return ""


class _Labels:
    def __init__(self, output: str, rule: Mapping[str, Any], records: int) -> None:
        self.output = output
        self.least_ppm = rule["least_ppm"]
        self.labels: Counter[int] = Counter()

    def add(self, row: Arrays) -> None:
        self.labels[label_of(row, self.output)] += 1

    def weakness(self) -> str:
        (label, count), total = self.labels.most_common(1)[0], self.labels.total()
        if count * MILLION < self.least_ppm * total:
            return ""
        return (
            f"{_said(self.output)}: a model that always answers {label} passes it, {count} of "
            f"{total} labels are {label}, and least is {self.least_ppm} ppm; raise that, or take "
            "records of more classes"
        )


class _Boxes:
    def __init__(self, output: str, rule: Mapping[str, Any], records: int) -> None:
        self.output = output
        self.scores = rule.get("scores")
        self.count = rule.get("count")
        self.records = records
        self.has_box = False
        self.alike = True
        self.first: Array | None = None

    def add(self, row: Arrays) -> None:
        corners = numbers(row, EXPECTED + self.output)
        self.first = corners if self.first is None else self.first
        self.alike = self.alike and numpy.array_equal(corners, self.first)
        scores = numbers(row, EXPECTED + self.scores) if self.scores else numpy.ones(1)
        count = numbers(row, EXPECTED + self.count).reshape(-1) if self.count else numpy.ones(1)
        self.has_box = self.has_box or bool((scores > 0).any() and (count > 0).any())

    def weakness(self) -> str:
        if not self.has_box:
            return f"{_said(self.output)}: no record expects a box; take some with objects"
        if self.alike and self.records > 1:
            return f"{_said(self.output)}: all records expect the same boxes; {MORE}"
        return ""
