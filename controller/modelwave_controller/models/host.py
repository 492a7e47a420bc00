"""The RAM of a model on a Linux host: measured by running it (releases/measuring.py), else planned
from the file:

    1.25 MiB + 2.25 × the file + 2 × the plan

The plan is the arena of TensorFlow Lite: tensors that are alive at the same time lie beside each
other, and so do the copies of pictures that convolutions make (im2col). Weights that are mapped
from the file count as the file; kernels may keep a second copy of them, packed, and weights that
are stored in 16 bits are kept in 32. If the release allows XNNPACK, which packs all weights and
keeps buffers of its own, all is doubled once more.

The factors are the least round ones with which the figure was never below the measured one, for 75
public models on tflite-runtime 2.14.0 and ai-edge-litert 2.3.0 (x86-64). The process itself is not
included: 30 MB for Python, numpy and the runtime."""

from dataclasses import dataclass

from modelwave_controller.fit.errors import ModelError
from modelwave_controller.fit.lifetimes import Lifetimes
from modelwave_controller.fit.model import Model, Operator, Subgraph
from modelwave_controller.fit.planner import Buffer, plan
from modelwave_controller.fit.tflite_schema import ELEMENT_BYTES

RUNTIME_BYTES = 5 << 18
PLANNED = "RAM: planned from the file, not measured (docs/fit.md#hosts)"
_FILE_FACTOR, _PLAN_FACTOR = 2.25, 2
_MAX_PLANNED = 2000  # buffers; the time for more grows with their square


@dataclass(frozen=True, slots=True)
class Measured:
    """The bytes of RAM that a release has to ask for, and the runtimes that it was measured on,
    such as "tflite-runtime 2.14.0"."""

    ram: int
    runtimes: tuple[str, ...]


def activations(model: Model) -> int:
    """Returns the planned bytes of RAM for the computed tensors."""
    buffers = _buffers(model)
    if len(buffers) > _MAX_PLANNED:
        return _PLAN_FACTOR * sum(buffer.size for buffer in buffers)
    return _PLAN_FACTOR * plan(buffers)


def beside(file_bytes: int) -> int:
    """Returns the planned bytes of RAM for everything else."""
    return RUNTIME_BYTES + int(_FILE_FACTOR * file_bytes)


def ram(model: Model, file_bytes: int, xnnpack: bool = False) -> int:
    """Returns the planned bytes of RAM that a release of this model requires of a host."""
    planned = activations(model) + beside(file_bytes)
    return 2 * planned if xnnpack else planned


def _buffers(model: Model) -> list[Buffer]:
    try:
        lives = Lifetimes(model)
    except ModelError:  # its subgraphs run one another too often: as if all were alive at once
        whole = [Buffer("", tensor.bytes, 0, 0) for g in model.subgraphs for tensor in g.tensors]
        return [buffer for buffer in whole if buffer.size]
    end = lives.scope
    found = []
    for number, graph in enumerate(model.subgraphs):
        kept = _kept(graph)
        for tensor, life in zip(graph.tensors, lives.tensors[number], strict=True):
            if tensor.constant or not tensor.bytes:
                continue
            always = tensor.variable or tensor.index in kept or life.first < 0
            first, last = (0, end) if always else (life.first, life.last)
            found.append(Buffer(tensor.name, tensor.bytes, first, last))
        for operator, life in zip(graph.operators, lives.operators[number], strict=True):
            if copy := _copied_picture(operator):
                found.append(Buffer(operator.name, copy, life.first, life.last))
    return found


def _kept(graph: Subgraph) -> set[int]:
    """Returns the tensors that are computed once, from constants: weights as 32-bit floats."""
    return {
        operator.outputs[0].index
        for operator in graph.operators
        if operator.name in ("DEQUANTIZE", "DENSIFY")
        and operator.outputs
        and all(tensor is None or tensor.constant for tensor in operator.inputs)
    }


def _copied_picture(operator: Operator) -> int:
    """Returns the bytes of a convolution's im2col buffer, 0 for none."""
    if operator.name != "CONV_2D" or len(operator.inputs) < 2 or not operator.outputs:
        return 0
    picture, weights, made = operator.inputs[0], operator.inputs[1], operator.outputs[0]
    if picture is None or weights is None or {len(weights.shape), len(made.shape)} != {4}:
        return 0
    window = weights.shape[1] * weights.shape[2]
    steps = (operator.options["stride_w"], operator.options["stride_h"])
    if window == 1 and steps == (1, 1):
        return 0
    places = made.elements // max(made.shape[3], 1)
    return places * window * weights.shape[3] * ELEMENT_BYTES[picture.kind]
