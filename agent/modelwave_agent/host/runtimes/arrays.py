"""Checks the arrays that a program passes to a model, and turns bytes into arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy

from modelwave_agent.host.runtimes.specs import OPEN, InputError, TensorSpec
from modelwave_agent.ports import ProofError

TEXTS = "SUO"  # numpy's kinds of arrays that may hold texts

Array = numpy.ndarray[Any, Any]


def checked(specs: Sequence[TensorSpec], inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Returns `inputs` in the shapes of `specs`. Raises InputError, which names the input."""
    names = [spec.name for spec in specs]
    for name in inputs:
        if name not in names:
            raise InputError(f"{name!r:.80}: the model has no such input; it has {_listed(names)}")
    for name in names:
        if name not in inputs:
            raise InputError(f"input {name}: missing; the model has {_listed(names)}")
    return {spec.name: _fitted(spec, inputs[spec.name]) for spec in specs}


def _fitted(spec: TensorSpec, given: Any) -> Array:
    array = _plain(spec, given) if isinstance(given, numpy.ndarray) else _converted(spec, given)
    wanted = numpy.dtype(spec.dtype)
    is_text = wanted.kind == "S" and array.dtype.kind in TEXTS
    if array.dtype != wanted and not is_text:
        has = array.dtype.name if array.dtype.isnative else array.dtype.str
        raise InputError(
            f"input {spec.name}: the model takes {wanted.name}, and got {has}; "
            + _advice(array.dtype, wanted)
        )
    if array.dtype.kind == "O":
        _check_texts(spec, array)
    if _matches(array.shape, spec.shape):
        return array
    # One record without the dimension that counts records.
    if spec.shape[:1] in ((1,), (OPEN,)) and _matches((1, *array.shape), spec.shape):
        return array[numpy.newaxis]
    raise InputError(
        f"input {spec.name}: the model takes the shape {_shown(spec.shape)}, "
        f"and got {_shown(array.shape)}"
    )


def _advice(has: numpy.dtype[Any], wanted: numpy.dtype[Any]) -> str:
    """Returns how an array becomes one of the type `wanted`. In an integer that does not hold all
    of its values they would wrap around."""
    words = f"convert it with .astype({wanted.name!r})"
    if wanted.kind not in "iu" or numpy.can_cast(has, wanted):
        return words
    limits = numpy.iinfo(wanted)
    return f"bring its values into {limits.min} to {limits.max} as in training, and {words}"


def _plain(spec: TensorSpec, given: Array) -> Array:
    """Returns an array without what its subclass adds."""
    if type(given) is numpy.ndarray:
        return given
    masked = numpy.count_nonzero(given.mask) if isinstance(given, numpy.ma.MaskedArray) else 0
    if masked:
        raise InputError(
            f"input {spec.name}: {masked} elements are masked, and a model has no mask; give it "
            ".filled(a value)"
        )
    return numpy.asarray(given)


def _check_texts(spec: TensorSpec, array: Array) -> None:
    for text in array.flat:
        if not isinstance(text, str | bytes):
            told = type(text).__name__
            raise InputError(f"input {spec.name}: a text is str or bytes, and got a {told}")


def _converted(spec: TensorSpec, given: Any) -> Array:
    """Numbers and lists of them become an array of the input's own type."""
    try:
        array = numpy.asarray(given)
        _check_kind(spec, array)
        wanted = array.dtype if spec.dtype[1] == "S" else numpy.dtype(spec.dtype)
        with numpy.errstate(all="ignore"):
            converted = array.astype(wanted)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"input {spec.name}: no array: {error}") from error
    if wanted.kind in "iub" and not numpy.array_equal(converted, array):
        raise InputError(f"input {spec.name}: no array: it has values that are no {wanted.name}")
    return converted


def _check_kind(spec: TensorSpec, array: Array) -> None:
    """Raises ValueError for what would become a number without being one."""
    kind = numpy.dtype(spec.dtype).kind
    if kind != "S" and array.dtype.kind in "SU":
        raise ValueError("it has texts, and the model takes numbers")
    if kind != "c" and array.dtype.kind == "c":
        raise ValueError("it has complex numbers")


def returned(specs: Sequence[TensorSpec], outputs: Any) -> dict[str, Array]:
    """Returns the outputs that `specs` name, of what a runtime gave. Raises ProofError if it is no
    dict of arrays."""
    if not isinstance(outputs, dict):
        raise ProofError(f"the runtime gave a {type(outputs).__name__}, no dict of arrays")
    for spec in specs:
        array = outputs.get(spec.name)
        if not isinstance(array, numpy.ndarray | numpy.generic):
            raise ProofError(
                f"output {spec.name}: the runtime gave a {type(array).__name__}, no array"
            )
    return {spec.name: numpy.asarray(outputs[spec.name]) for spec in specs}


def from_bytes(spec: TensorSpec, data: bytes | memoryview) -> Array:
    """Returns the tensor whose bytes are `data`. Raises InputError if they are more or fewer than
    it has, or if it has no fixed number of bytes."""
    if OPEN in spec.shape or spec.dtype[1] == "S":
        raise InputError(
            f"input {spec.name}: its size is not fixed ({_shown(spec.shape)} of {spec.dtype}); "
            "give an array"
        )
    array = numpy.dtype(spec.dtype)
    wanted = int(numpy.prod(spec.shape, dtype=numpy.int64)) * array.itemsize
    if len(data) != wanted:
        raise InputError(f"the model needs {wanted} bytes of input, and got {len(data)}")
    return numpy.frombuffer(data, array).reshape(spec.shape)


def from_only(
    inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], data: bytes | memoryview
) -> dict[str, Array]:
    """Returns the only input, whose bytes are `data`, by its name. Raises InputError as `only` and
    `from_bytes`, also if there are several outputs."""
    spec = only(inputs, "input")
    only(outputs, "output")
    return {spec.name: from_bytes(spec, data)}


def only(specs: Sequence[TensorSpec], what: str) -> TensorSpec:
    """Returns the only one of the model's inputs, or outputs. Raises InputError if there are
    more: bytes alone do not say which one they are."""
    if len(specs) != 1:
        named = _listed([spec.name for spec in specs])
        raise InputError(f"the model has {len(specs)} {what}s ({named}): run it on arrays by name")
    return specs[0]


def _matches(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return shape == wanted or (
        len(shape) == len(wanted)
        and all(expected in (OPEN, size) for size, expected in zip(shape, wanted, strict=True))
    )


def _shown(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join("?" if size == OPEN else str(size) for size in shape) + "]"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
