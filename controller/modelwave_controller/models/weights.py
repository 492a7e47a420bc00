"""Finds the bytes of a model's weights in its file, and chooses faults in them: flipped bits.

.tflite   the buffers of its tensors
.onnx     the initializers and the tensors of constants, also in graphs inside of operators, as
          raw bytes or as packed floats
"""

import random
from collections.abc import Iterator, Sequence
from itertools import accumulate

from modelwave_controller.fit import ModelError
from modelwave_controller.fit.flatbuffer import File
from modelwave_controller.fit.model import MAX_BUFFERS, MAX_TENSORS
from modelwave_controller.fit.stored import stored_buffer
from modelwave_controller.fit.tflite_schema import Slot
from modelwave_controller.models import protobuf
from modelwave_shared.words import ONNX, TFLITE

MAX_SUBGRAPHS = 1024
MAX_MESSAGES = 1_000_000
_MAX_DEPTH = 16  # of graphs inside of operators
# The fields of ONNX (onnx.proto3) that lead to tensors: {message: {field: message}}.
_MODEL, _GRAPH, _NODE, _ATTRIBUTE, _TENSOR = "model", "graph", "node", "attribute", "tensor"
_INSIDE = {
    _MODEL: {7: _GRAPH},
    _GRAPH: {1: _NODE, 5: _TENSOR},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH},
}
_DATA = (4, 9)  # of a tensor: float_data, raw_data

Span = tuple[int, int]  # (first byte, how many)


def spans(data: bytes, format_: str) -> list[Span]:
    """Returns where the weights are, each once; [] for a format whose weights are not found here.
    Raises ModelError if the file is damaged."""
    finder = {TFLITE: _tflite, ONNX: _onnx}.get(format_)
    return sorted({span for span in finder(data) if span[1]}) if finder else []


def faults(found: Sequence[Span], count: int, seed: int) -> list[tuple[int, int]]:
    """Returns (offset, the bit to flip in that byte) of `count` faults, each byte of the weights as
    likely as every other. [] if there are no weights."""
    ends = list(accumulate(size for _, size in found))
    chance = random.Random(seed)
    chosen = []
    for _ in range(count if ends else 0):
        place = chance.randrange(ends[-1])
        index = next(number for number, end in enumerate(ends) if place < end)
        start, size = found[index]
        chosen.append((start + place - (ends[index] - size), 1 << chance.randrange(8)))
    return chosen


def _tflite(data: bytes) -> Iterator[Span]:
    root = File(data).root()
    buffers = root.tables(Slot.MODEL_BUFFERS, MAX_BUFFERS)
    for graph in root.tables(Slot.MODEL_SUBGRAPHS, MAX_SUBGRAPHS):
        for tensor in graph.tables(Slot.GRAPH_TENSORS, MAX_TENSORS):
            number = tensor.u32(Slot.TENSOR_BUFFER)
            if number < len(buffers):
                stored = stored_buffer(buffers[number])
                yield stored.start, stored.count


def _onnx(data: bytes) -> Iterator[Span]:
    left = [MAX_MESSAGES]
    yield from _tensors(data, _MODEL, 0, len(data), left, 0)


def _tensors(
    data: bytes, message: str, start: int, end: int, left: list[int], depth: int
) -> Iterator[Span]:
    """Yields the data of all tensors in the message at these bytes."""
    left[0] -= 1
    if left[0] < 0 or depth > _MAX_DEPTH * len(_INSIDE):
        raise ModelError("too many parts for an ONNX file")
    for field, at, size in protobuf.messages(data, start, end):
        if message == _TENSOR:
            if field in _DATA:
                yield at, size
        elif inner := _INSIDE[message].get(field):
            yield from _tensors(data, inner, at, at + size, left, depth + 1)
