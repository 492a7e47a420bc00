"""The inputs that a golden set is made of: a person's .npz or .npy, or random numbers."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy

from modelwave_agent.host.golden.archive import INPUTS, MAX_UNPACKED_BYTES, Archive, Array
from modelwave_agent.host.runtimes.specs import OPEN, TensorSpec
from modelwave_shared.golden import GoldenError
from modelwave_shared.limits import MAX_GOLDEN_RECORDS, MAX_TENSOR_BYTES

MOST_INTEGER = 9  # of random int32 and int64: most such inputs are places in a short table
WORD_LETTERS = 8


def read(path: str, specs: Sequence[TensorSpec]) -> dict[str, Array]:
    """Returns {input: its records, stacked}. Raises GoldenError, which names the array, and
    OSError."""
    if Path(path).suffix == ".npy":
        return {_only(specs).name: read_npy(path, "--inputs")}
    with open_npz(path, "--inputs") as archive:
        names = {spec.name: _array_of(spec, specs, list(archive.arrays)) for spec in specs}
        rows = list(archive.rows())
    return {spec: numpy.stack([row[array] for row in rows]) for spec, array in names.items()}


def open_npz(path: str, option: str) -> Archive:
    """Opens a person's .npz. Raises GoldenError, which names the option, and OSError."""
    try:
        return Archive(path)
    except GoldenError as error:
        raise GoldenError(f"{option}: {str(error).removeprefix('golden: ')}") from error


def _array_of(spec: TensorSpec, specs: Sequence[TensorSpec], arrays: list[str]) -> str:
    """Returns the array of an input: `inputs/NAME`, `NAME`, or the only one for the only input."""
    for name in (INPUTS + spec.name, spec.name):
        if name in arrays:
            return name
    if len(specs) == len(arrays) == 1:
        return arrays[0]
    raise GoldenError(
        f"--inputs: no array {spec.name}: the model's inputs are "
        f"{', '.join(one.name for one in specs)}, and the file has {', '.join(arrays)[:200]}"
    )


def read_npy(path: str, option: str) -> Array:
    """Returns the array of an .npy file. Raises GoldenError, which names the option, and
    OSError."""
    try:
        with open(path, "rb") as file:
            found = numpy.load(file, allow_pickle=False)
    # MemoryError: its header may say any size, whatever the file has.
    except (ValueError, EOFError, SyntaxError, MemoryError) as error:
        why = " ".join(str(error).split())[:160]
        raise GoldenError(
            f"{option}: {path}: no .npy file, or not all of it: {why}; write it anew with "
            "numpy.save, as an array of numbers"
        ) from error
    if not isinstance(found, numpy.ndarray) or not found.ndim:
        raise GoldenError(
            f"{option}: {path}: no array of records, which its first dimension counts"
        )
    return found


def _only(specs: Sequence[TensorSpec]) -> TensorSpec:
    if len(specs) != 1:
        names = ", ".join(spec.name for spec in specs)
        raise GoldenError(f"--inputs: an .npy is for one input; save an .npz with {names}")
    return specs[0]


def random(specs: Sequence[TensorSpec], records: int, seed: int) -> dict[str, Array]:
    """Returns random inputs: floats from 0 to 1, all values of 8 and 16 bits, 0 to 9 of larger
    integers, which are often places in a table. Raises GoldenError for a shape that is open."""
    numbers = numpy.random.default_rng(seed)
    return {spec.name: _random(spec, records, numbers) for spec in specs}


def _random(spec: TensorSpec, records: int, numbers: Any) -> Array:
    sides = (1, *spec.shape[1:]) if spec.shape[:1] == (OPEN,) else spec.shape  # one record
    if OPEN in sides:
        raise GoldenError(
            f"--random: the input {spec.name} leaves its shape open {list(spec.shape)}; give it "
            "with --shape"
        )
    shape = (records, *sides)
    found: Array
    if spec.dtype[1] == "S":
        letters = numbers.integers(97, 123, (*shape, WORD_LETTERS), numpy.uint8)
        found = numpy.ascontiguousarray(letters).view(f"S{WORD_LETTERS}").reshape(shape)
        return found
    dtype = numpy.dtype(spec.dtype)
    if dtype.kind in "fc":
        found = numbers.random(shape).astype(dtype)
    elif dtype.kind == "b":
        found = numbers.integers(0, 2, shape).astype(dtype)
    elif dtype.itemsize > 2:
        found = numbers.integers(0, MOST_INTEGER, shape, endpoint=True).astype(dtype)
    else:
        ends = numpy.iinfo(dtype)
        found = numbers.integers(ends.min, ends.max, shape, dtype, endpoint=True)
    return found


def checked(inputs: Mapping[str, Array]) -> int:
    """Returns how many records there are. Raises GoldenError if they exceed our limits."""
    counts = {name: len(array) for name, array in inputs.items()}
    first = next(iter(counts.values()))
    for name, count in counts.items():
        if count != first:
            raise GoldenError(f"--inputs: {name} has {count} records, and another input {first}")
        if inputs[name][0:1].nbytes > MAX_TENSOR_BYTES:
            raise GoldenError(
                f"--inputs: {name}: {inputs[name][0:1].nbytes} bytes in a record, "
                f"{MAX_TENSOR_BYTES} at most"
            )
    if not 1 <= first <= MAX_GOLDEN_RECORDS:
        raise GoldenError(f"--inputs: {first} records, needed are 1 to {MAX_GOLDEN_RECORDS}")
    total = sum(array.nbytes for array in inputs.values())
    if total > MAX_UNPACKED_BYTES:
        raise GoldenError(
            f"--inputs: {total} bytes, {MAX_UNPACKED_BYTES} at most; take fewer records"
        )
    return first


def rows(inputs: Mapping[str, Array], records: int) -> Iterator[dict[str, Array]]:
    """Yields for each record {input: array}."""
    for index in range(records):
        yield {name: array[index] for name, array in inputs.items()}
