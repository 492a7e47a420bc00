"""Writes .npz files that archive.py reads; the same arrays give the same bytes."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy

from modelwave_agent.host.golden.archive import DESCRIPTION, MAX_UNPACKED_BYTES, Array
from modelwave_agent.host.golden.judges import texts
from modelwave_shared.golden import GoldenError


def write(
    path: Path, arrays: Mapping[str, Array], description: Mapping[str, Any] | None = None
) -> None:
    """Writes a new archive. Raises GoldenError if it would be too large, and OSError."""
    total = sum(array.nbytes for array in arrays.values())
    if total > MAX_UNPACKED_BYTES:
        raise GoldenError(
            f"{total} bytes of inputs and outputs, {MAX_UNPACKED_BYTES} at most; take fewer records"
        )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, array in arrays.items():
            with made.open(_entry(f"{name}.npy"), "w") as stream:
                write_array: Any = numpy.lib.format.write_array
                write_array(stream, plain(array), allow_pickle=False)
        if description is not None:
            made.writestr(_entry(DESCRIPTION), json.dumps(description))


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)  # without the time of day
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def plain(array: Array) -> Array:
    """Returns the array in C order, texts as bytes of a fixed length."""
    array = texts(array) if array.dtype.kind in "OU" else array
    return numpy.ascontiguousarray(array)
