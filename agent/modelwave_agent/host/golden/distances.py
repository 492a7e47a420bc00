"""Measures how far apart two runtimes' outputs of one model are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy

from modelwave_agent.host.golden.archive import EXPECTED, Archive
from modelwave_agent.host.golden.judges import TEXTS, distance


@dataclass
class Apart:
    """The greatest difference of an output's elements over all records. `worst`: steps, or
    millionths of floats; for texts the records that differ. `relative_ppm`: of floats, the
    difference as a part of the expected element plus the output's usual size."""

    worst: float = 0
    relative_ppm: float = 0

    def or_farther(self, other: "Apart") -> "Apart":
        """Returns the greater of the two in each figure."""
        return Apart(max(self.worst, other.worst), max(self.relative_ppm, other.relative_ppm))

    def json(self) -> dict[str, int | None]:
        return {"worst": _whole(self.worst), "relative_ppm": _whole(self.relative_ppm)}


def _whole(number: float) -> int | None:
    """Returns the number for JSON; None if it is infinite, as for a NaN."""
    return int(numpy.ceil(number)) if numpy.isfinite(number) else None


def sizes(reference: Path) -> dict[str, float]:
    """Returns {output: its usual size}: the root of the mean square of its elements."""
    squares: dict[str, list[float]] = {}
    with Archive(str(reference)) as archive:
        for row in archive.rows():
            for name, array in row.items():
                if name.startswith(EXPECTED) and array.dtype.kind not in TEXTS:
                    wide = numpy.abs(array.astype(_wide(array)))
                    finite = wide[numpy.isfinite(wide)]
                    if finite.size:
                        squares.setdefault(name, []).append(float((finite**2).mean()))
    return {
        name.removeprefix(EXPECTED): float(numpy.sqrt(numpy.mean(found)))
        for name, found in squares.items()
    }


def _wide(array: Any) -> Any:
    return numpy.complex128 if array.dtype.kind == "c" else numpy.float64


def apart(reference: Path, other: Path, usual: dict[str, float]) -> dict[str, Apart]:
    """Returns {output: how far `other` is from `reference`}; both are archives of one model's
    runs, and `usual` is that of `sizes`. Raises GoldenError and OSError."""
    found: dict[str, Apart] = {}
    with Archive(str(reference)) as one, Archive(str(other)) as two:
        for wanted, got in zip(one.rows(), two.rows(), strict=True):
            for name, array in wanted.items():
                if name.startswith(EXPECTED):
                    output = name.removeprefix(EXPECTED)
                    entry = found.setdefault(output, Apart())
                    _add(entry, got.get(name), array, usual.get(output, 0))
    return found


def _add(entry: Apart, got: Any, wanted: Any, usual: float) -> None:
    if got is None or got.shape != wanted.shape or _type(got) != _type(wanted):
        entry.worst = entry.relative_ppm = numpy.inf
    elif wanted.dtype.kind in TEXTS:
        entry.worst += got.tolist() != wanted.tolist()
    else:
        off = distance(got, wanted)
        entry.worst = max(entry.worst, float(off.max(initial=0)))
        if wanted.dtype.kind in "fc":
            size = numpy.abs(wanted.astype(_wide(wanted))) + usual
            with numpy.errstate(all="ignore"):
                # Millionths of a difference, over the size: parts per million.
                part = numpy.where(off == 0, 0, off / size)
            entry.relative_ppm = max(entry.relative_ppm, float(part.max(initial=0)))


def unit(dtype: str) -> str:
    """Returns the unit of `worst` for elements of this type."""
    return {"f": "millionths", "c": "millionths", "S": "records", "U": "records"}.get(
        dtype[1], "steps"
    )


def _type(array: Any) -> str:
    return "S" if array.dtype.kind in TEXTS else str(array.dtype)
