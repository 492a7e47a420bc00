"""Compares the candidate's output with that of the live model, by the tolerance of the candidate's
manifest.

    labels    both have their greatest value at the same place
    outputs   the same type and number of elements, none of which differs by more than the steps:
              of the last digit of integers, of millionths of floats (golden.py)

Outputs of the same bytes always agree. Those that are no numbers agree in no other way, and a NaN
agrees with nothing.
"""

from typing import Any

import numpy

from modelwave_shared.limits import MILLION


def agree(output: Any, live: Any, tolerance: Any, runtime: str) -> bool:
    """Whether the arrays `output` and `live` agree by `tolerance`, a manifest's field. `runtime`:
    its name there."""
    if output.dtype == live.dtype and output.tobytes() == live.tobytes():
        return True
    if not (is_numeric(output) and is_numeric(live)):
        return False
    if tolerance["kind"] == "labels":
        place = greatest(output)
        return place is not None and place == greatest(live)
    steps = tolerance["steps"].get(runtime, tolerance["steps"].get("any"))
    if steps is None or output.dtype != live.dtype or output.size != live.size:
        return False
    with numpy.errstate(all="ignore"):
        off = numpy.abs(output.astype(numpy.float64) - live.astype(numpy.float64))
        if output.dtype.kind == "f":
            off = off * MILLION - 0.5
        return bool((off <= steps).all())


def is_numeric(array: Any) -> bool:
    return array.dtype.kind in "iuf" and array.size > 0


def greatest(array: Any) -> int | None:
    """The place of the first greatest number; None if there is a NaN."""
    place = int(array.argmax())  # of the first NaN, if there is one
    return None if array[place] != array[place] else place
