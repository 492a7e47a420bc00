"""The message to the process of a shadow: what the program gave to `run`, and the live model's
outputs.

    head          bytes of the description, bytes of what follows it
    description   JSON: the form of what was given, and of each array (name, type, shape, whether
                  the program gave an array: numbers and lists have the model's type, not numpy's)
    data          the arrays, one after the other

It is a copy, as the program may change its arrays after `run`.
"""

import json
import struct
from math import prod
from typing import TYPE_CHECKING, Any

import numpy

from modelwave_agent.host.runtimes.arrays import TEXTS, Array

if TYPE_CHECKING:
    from modelwave_agent.host.given import Arrays, Given

HEAD = struct.Struct("<IQ")
_BYTES, _ARRAY, _NAMES = "bytes", "array", "names"
_ONLY = ""  # the name of what has none


def rough_bytes(given: "Given", outputs: "Arrays") -> int:
    """Returns the bytes of these arrays; texts in arrays of objects count as pointers."""
    parts = given.values() if isinstance(given, dict) else [given]
    inputs = [
        len(part) if isinstance(part, bytes) else numpy.asarray(part).nbytes for part in parts
    ]
    return sum(inputs) + sum(output.nbytes for output in outputs.values())


def packed(given: "Given", outputs: "Arrays") -> tuple[bytes, ...]:
    """Returns the message, in pieces."""
    form, inputs = _form(given)
    pieces = []
    described: list[Any] = [form]
    for arrays in (inputs, outputs):
        held = {name: plain(array) for name, array in arrays.items()}
        described.append(
            [
                [name, array.dtype.str, array.shape, isinstance(arrays[name], numpy.ndarray)]
                for name, array in held.items()
            ]
        )
        pieces += [array.tobytes() for array in held.values()]
    description = json.dumps(described).encode()
    head = HEAD.pack(len(description), sum(map(len, pieces)))
    return (head + description, *pieces)


def _form(given: "Given") -> tuple[str, "Arrays"]:
    if isinstance(given, dict):
        return _NAMES, given
    if isinstance(given, bytes | memoryview):
        return _BYTES, {_ONLY: numpy.frombuffer(given, numpy.uint8)}
    return _ARRAY, {_ONLY: given}


def plain(given: Any) -> Array:
    """Returns an array whose own bytes are its contents: texts as bytes of one length."""
    array = numpy.asarray(given)
    if array.dtype.kind not in TEXTS or array.dtype.kind == "S":
        return array
    if not all(isinstance(text, str | bytes) for text in array.flat):
        raise ValueError("neither texts nor numbers of a size that numpy has")
    texts = [text.encode() if isinstance(text, str) else text for text in array.flat]
    return numpy.array(texts, numpy.bytes_).reshape(array.shape)


def unpacked(description: bytes, data: bytes) -> tuple["Given", "Arrays"]:
    """Returns what the program gave, and the live model's outputs."""
    form, *described = json.loads(description)
    at, found = 0, []
    for part in described:
        arrays: Arrays = {}
        for name, kind, shape, was_array in part:
            dtype = numpy.dtype(kind)
            array: Array = numpy.ndarray(shape, dtype, data, at)
            arrays[name] = array if was_array else array.tolist()
            at += prod(shape) * dtype.itemsize
        found.append(arrays)
    inputs, outputs = found
    if form == _NAMES:
        return inputs, outputs
    return (inputs[_ONLY].tobytes() if form == _BYTES else inputs[_ONLY]), outputs
