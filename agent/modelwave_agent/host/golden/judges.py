"""The judges of a manifest's tolerance of kind "tensors", one for each output
(modelwave_shared/tensors.py has their fields).

    elements  a record is right if no element is off by more than absolute + relative × |expected|
    labels    a record is right if its greatest element is at the label, and no other is as great
    boxes     an expected box is right if one of the found boxes has the same class, overlaps
              it as much and scores as near as the tolerance says; each found box serves once

A NaN is never right. Texts and other elements that are no numbers have to be equal.
"""

import abc
from collections.abc import Mapping
from typing import Any

import numpy

from modelwave_agent.host.golden.archive import CLASSES, EXPECTED, Array, Arrays
from modelwave_shared.golden import GoldenError
from modelwave_shared.limits import MAX_SEQ, MILLION

ANY = "any"  # of a tolerance: all other configurations
TEXTS = "SUO"  # numpy's kinds of arrays of texts


class OutputJudge(abc.ABC):
    """Judges one output over all records. `right` of `seen` were right so far."""

    everything = False  # whether each record has to be right

    def __init__(self, output: str, rule: Mapping[str, Any], least_ppm: int = MILLION) -> None:
        self.output = output
        self.rule = rule
        self.least_ppm = least_ppm
        self.seen = 0
        self.right = 0

    @property
    @abc.abstractmethod
    def expected(self) -> tuple[str, ...]:
        """The names of the arrays that the golden set must have for it, such as "labels/scores"."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs that it reads."""
        return (self.output,)

    @abc.abstractmethod
    def count(self, outputs: Arrays, expected: Arrays) -> tuple[int, int]:
        """Returns (right, all) of one record: its arrays by name, those of the golden set as
        `expected`. Raises GoldenError if they do not match."""

    def add(self, outputs: Arrays, expected: Arrays) -> tuple[int, int]:
        """Counts one record. Returns and raises as `count`."""
        right, seen = self.count(outputs, expected)
        self.right += right
        self.seen += seen
        return right, seen

    def is_enough(self, right: int, seen: int) -> bool:
        return right * MILLION >= self.least_ppm * seen

    @abc.abstractmethod
    def problem(self) -> str:
        """Returns in words how the records that were added are not right."""

    def verdict(self) -> str:
        """Returns "" if enough is right, else what is wrong."""
        enough = self.seen > 0 and self.is_enough(self.right, self.seen)
        return "" if enough else f"golden set: output {self.output}: {self.problem()}"


class Elements(OutputJudge):
    """`worst` is the largest difference of an element so far: steps, or millionths of floats."""

    everything = True

    def __init__(self, output: str, rule: Mapping[str, Any], configuration: str) -> None:
        super().__init__(output, rule)
        self.configuration = configuration
        self.absolute = _of(rule["absolute"], configuration, f"tolerance.outputs.{output}.absolute")
        relative = rule.get("relative", {})
        self.relative_ppm = relative.get(configuration, relative.get(ANY, 0))
        self.worst = 0.0
        self.worst_ppm = 0  # of floats, of the expected element, where that is not 0
        self._kind = ""  # numpy's, of the elements

    @property
    def expected(self) -> tuple[str, ...]:
        return (EXPECTED + self.output,)

    def count(self, outputs: Arrays, expected: Arrays) -> tuple[int, int]:
        got, wanted = outputs[self.output], expected[EXPECTED + self.output]
        wanted = alike(wanted, got, self.output)
        self._kind = got.dtype.kind
        if got.dtype.kind in TEXTS:
            return int(texts(got).tolist() == texts(wanted).tolist()), 1
        off = distance(got, wanted)
        self.worst = max(self.worst, float(off.max(initial=0)))
        self.worst_ppm = max(self.worst_ppm, _relative_ppm(off, wanted))
        return int((off <= allowed(wanted, self.absolute, self.relative_ppm)).all()), 1

    def problem(self) -> str:
        wrong = f"{self.seen - self.right} of {self.seen} records are"
        if self._kind in TEXTS:
            return f"{wrong} other texts on {self.configuration}"
        if self._kind in "fc":  # figures of floats are in millionths
            most, worst = f"{self.absolute / MILLION:.6g}", f"{self.worst / MILLION:.3g}"
        else:
            steps = "step" if self.absolute == 1 else "steps"
            most, worst = f"{self.absolute} {steps}", f"{self.worst:.0f}"
        relative = f" + {self.relative_ppm} ppm" if self.relative_ppm else ""
        return f"{wrong} off by more than {most}{relative} on {self.configuration}, worst {worst}"


class Labels(OutputJudge):
    def __init__(self, output: str, rule: Mapping[str, Any]) -> None:
        super().__init__(output, rule, rule["least_ppm"])

    @property
    def expected(self) -> tuple[str, ...]:
        return (CLASSES + self.output,)

    def count(self, outputs: Arrays, expected: Arrays) -> tuple[int, int]:
        got, label = numbers(outputs, self.output).reshape(-1), label_of(expected, self.output)
        if not 0 <= label < got.size:
            raise GoldenError(
                f"golden: {CLASSES}{self.output}: the label {label}, and the output has "
                f"{got.size} elements"
            )
        below = (got[label] > got).sum()
        return int(below == got.size - 1), 1

    def problem(self) -> str:
        return (
            f"{self.right} of {self.seen} labels right "
            f"({self.right * MILLION // max(self.seen, 1)} ppm, least {self.least_ppm})"
        )


class Boxes(OutputJudge):
    def __init__(self, output: str, rule: Mapping[str, Any]) -> None:
        super().__init__(output, rule, rule["least_ppm"])
        self._others = tuple(rule[role] for role in ("classes", "scores", "count") if role in rule)

    @property
    def expected(self) -> tuple[str, ...]:
        return tuple(EXPECTED + name for name in self.outputs)

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.output, *self._others)

    def count(self, outputs: Arrays, expected: Arrays) -> tuple[int, int]:
        wanted = {name: expected[EXPECTED + name] for name in self.outputs}
        found, wished = self._boxes(outputs), self._boxes(wanted)
        if "scores" in self.rule:  # rows behind the last box have no score
            wished = [box for box in wished if box[2] > 0]
        right = 0
        for box in sorted(wished, key=_score, reverse=True):
            if match := self._match(box, found):
                found.remove(match)
                right += 1
        return right, len(wished)

    def _boxes(self, arrays: Arrays) -> "list[tuple[tuple[float, ...], float, float]]":
        """Returns (corners, class, score) of each box."""
        corners = numbers(arrays, self.output)
        if not corners.ndim or corners.shape[-1] != 4:
            raise GoldenError(
                f"golden: output {self.output}: the shape {list(corners.shape)}; boxes have four "
                "corners, so its last dimension is 4"
            )
        corners = corners.reshape(-1, 4)
        classes = self._column(arrays, "classes", len(corners))
        scores = self._column(arrays, "scores", len(corners))
        count = len(corners)
        if "count" in self.rule:
            count = min(max(int(_only(arrays, self.rule["count"])), 0), count)
        rows = zip(corners.tolist(), classes, scores, strict=True)
        return [(tuple(box), class_, score) for box, class_, score in rows][:count]

    def _column(self, arrays: Arrays, role: str, rows: int) -> list[float]:
        if role not in self.rule:
            return [0.0] * rows
        column = numbers(arrays, self.rule[role])
        if column.size != rows:
            raise GoldenError(
                f"golden: output {self.rule[role]}: {column.size} {role} of {rows} boxes; the "
                f"tolerance names the outputs of {self.output}"
            )
        return list(column.reshape(-1).tolist())

    def _match(self, box: Any, found: list[Any]) -> Any:
        least, off = self.rule["iou_ppm"] / MILLION, self.rule["score_ppm"] / MILLION
        near = [
            one
            for one in found
            if one[1] == box[1]
            and ("scores" not in self.rule or abs(one[2] - box[2]) <= off)
            and overlap(one[0], box[0]) >= least
        ]
        return max(near, key=lambda one: overlap(one[0], box[0]), default=None)

    def problem(self) -> str:
        if not self.seen:
            return "the golden set expects no box"
        return (
            f"{self.right} of {self.seen} boxes found "
            f"({self.right * MILLION // self.seen} ppm, least {self.least_ppm})"
        )


def make(output: str, rule: Mapping[str, Any], configuration: str) -> OutputJudge:
    """Returns the judge of an output. Raises GoldenError if the tolerance has no figure for this
    configuration of a runtime."""
    if rule["judge"] == "elements":
        return Elements(output, rule, configuration)
    return {"labels": Labels, "boxes": Boxes}[rule["judge"]](output, rule)


def distance(got: Array, wanted: Array) -> Array:
    """Returns how far apart the elements of two arrays of one shape are: steps of integers,
    millionths of floats, as float64. A NaN on either side is infinitely far."""
    with numpy.errstate(all="ignore"):
        if got.dtype.kind in "bui":
            return numpy.where(got > wanted, _above(got, wanted), _above(wanted, got)).astype(float)
        off = numpy.abs(_wide(got) - _wide(wanted))
        off = numpy.where(got == wanted, 0, off)  # both may be infinite
        return numpy.where(numpy.isnan(off), numpy.inf, off * MILLION)


def _relative_ppm(off: Array, wanted: Array) -> int:
    """Returns the greatest difference as a part of the expected element, where that is known."""
    if wanted.dtype.kind not in "fc":
        return 0
    size = numpy.abs(_wide(wanted))
    known = numpy.isfinite(off) & numpy.isfinite(size) & (size > 0)
    return int(min((off[known] / size[known]).max(initial=0), MAX_SEQ))


def _above(a: Array, b: Array) -> Array:
    """Returns a - b, where that is not negative; it is exact for 64 bits, too."""
    return a.astype(numpy.uint64) - b.astype(numpy.uint64)


def allowed(wanted: Array, absolute: int, relative_ppm: int) -> Array:
    """Returns how far each element may be off, in the units of `distance`."""
    unit = 1 if wanted.dtype.kind in "bui" else MILLION
    with numpy.errstate(all="ignore"):
        size = numpy.abs(_wide(wanted)) * unit
    size = numpy.where(numpy.isfinite(size), size, 0)
    # Half a millionth is rounding, as in boards' golden sets.
    slack = 0.0 if unit == 1 else 0.5
    return numpy.asarray(absolute + slack + size * (relative_ppm / MILLION))


def _wide(array: Array) -> Array:
    return array.astype(numpy.complex128 if array.dtype.kind == "c" else numpy.float64)


def alike(wanted: Array, got: Array, output: str) -> Array:
    """Returns the expected array in the shape of the model's output. Raises GoldenError unless both
    have the same type and, but for dimensions of 1 at the front, the same shape."""
    same_type = wanted.dtype == got.dtype or {wanted.dtype.kind, got.dtype.kind} <= set(TEXTS)
    if not same_type:
        raise GoldenError(
            f"golden: {EXPECTED}{output} has {wanted.dtype.name}, and the model's output "
            f"{got.dtype.name}; make the set from this model (modelwave golden make)"
        )
    is_flat = wanted.ndim == 1 and wanted.size == got.size
    if not is_flat and trimmed(wanted.shape) != trimmed(got.shape):
        raise GoldenError(
            f"golden: {EXPECTED}{output} has records of the shape {list(wanted.shape)}, and the "
            f"model's output {list(got.shape)}; make the set from this model (modelwave golden "
            "make)"
        )
    return wanted.reshape(got.shape)


def numbers(arrays: Arrays, output: str) -> Array:
    """Returns the array of an output. Raises GoldenError if its elements have no order."""
    array = arrays[output]
    if array.dtype.kind not in "biuf":
        raise GoldenError(
            f"golden: output {output}: its elements are no numbers, but {array.dtype.name}; judge "
            "it by its elements"
        )
    return array


def label_of(expected: Arrays, output: str) -> int:
    """Returns the label of a record. Raises GoldenError if the golden set has another thing."""
    label = expected[CLASSES + output]
    if label.dtype.kind not in "iu" or label.size != 1:
        raise GoldenError(f"golden: {CLASSES}{output}: no integers, one for each record")
    return int(label.reshape(-1)[0])


def trimmed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the shape without its first dimensions of 1."""
    while shape[:1] == (1,):
        shape = shape[1:]
    return shape


def texts(array: Array) -> Array:
    """Returns an array of texts as bytes. Raises GoldenError if one is no Unicode."""
    try:
        if array.dtype.kind == "U":
            return numpy.char.encode(array, "utf-8")
        return array.astype("S") if array.dtype.kind == "O" else array
    except (ValueError, SystemError) as error:  # numpy: beyond Unicode
        raise GoldenError(f"golden: a text that is no Unicode: {error}") from error


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Returns the area that two boxes share as a part of what they cover together; 1 for the same
    corners. A box is (y, x, y, x) or (x, y, x, y)."""
    if a == b:
        return 1.0
    sides = [_shared_side(a, b, at) for at in (0, 1)]
    if not min(sides) > 0:
        return 0.0
    shared = sides[0] * sides[1]
    areas = [abs(box[2] - box[0]) * abs(box[3] - box[1]) for box in (a, b)]
    together = sum(areas) - shared
    return shared / together if together > 0 else 0.0


def _shared_side(a: tuple[float, ...], b: tuple[float, ...], at: int) -> float:
    least = max(min(box[at], box[at + 2]) for box in (a, b))
    most = min(max(box[at], box[at + 2]) for box in (a, b))
    return most - least


def _score(box: Any) -> float:
    return float(box[2])


def _only(arrays: Arrays, output: str) -> float:
    array = numbers(arrays, output)
    if array.size != 1 or not numpy.isfinite(array).all():
        raise GoldenError(f"golden: output {output}: {array.size} elements; a count is one number")
    return float(array.reshape(-1)[0])


def _of(figures: Mapping[str, int], configuration: str, where: str) -> int:
    found = figures.get(configuration, figures.get(ANY))
    if found is None:
        raise GoldenError(
            f"{where} names neither {configuration} nor {ANY}: it must have a figure for one"
        )
    return found
