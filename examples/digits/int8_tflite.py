"""Write a fully int8 .tflite file from the numpy weights of a network of dense layers.

The file holds one subgraph: a FULLY_CONNECTED operator for each layer, with RELU fused
into all but the last, then a SOFTMAX. It has only what TensorFlow Lite for
Microcontrollers supports: int8 tensors with one scale each, int32 biases, and a softmax
whose output has scale 1/256 and zero point -128.

The numbers follow TensorFlow's "8-bit quantization specification"
(tensorflow.org/lite/performance/quantization_spec): real = scale * (q - zero_point),
weights symmetric in -127…127, a bias in steps of input scale * weight scale. The layout
is schema.fbs of TensorFlow Lite, version 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import flatbuffers
import numpy as np
import tflite

Array = np.ndarray[Any, np.dtype[Any]]

SCHEMA_VERSION = 3
FILE_IDENTIFIER = b"TFL3"
# schema.fbs: `force_align: 16` on a buffer's data. A microcontroller reads int32 biases
# in place, and a Cortex-M0 faults on an address that is not aligned.
BUFFER_ALIGNMENT = 16
# The versions of the operators that brought int8 (TensorFlow's op_version.cc).
FULLY_CONNECTED_VERSION = 4
SOFTMAX_VERSION = 2


@dataclass(frozen=True)
class Quantised:
    """real = scale * (q - zero_point), with q in -128…127."""

    scale: float
    zero_point: int


SOFTMAX_OUTPUT = Quantised(1 / 256, -128)  # the int8 softmax kernels require it


@dataclass(frozen=True)
class Dense:
    """One layer: `weights` [inputs, outputs] and `bias` [outputs], real numbers."""

    weights: Array
    bias: Array


def build(layers: Sequence[Dense], pictures: Array, taken: Quantised, description: str) -> bytes:
    """The bytes of a .tflite file. `pictures` [n, inputs] are real numbers as the network
    is trained on, and set the range of each layer's output; `taken` says how the input
    tensor stands for them; `description` goes into the file."""
    model = _Writer()
    tensors = [model.tensor("pictures", (1, layers[0].weights.shape[0]), "INT8", taken)]
    operators = []
    for number, layer in enumerate(layers):
        last = number == len(layers) - 1
        pictures = _apply(layer, pictures, relu=not last)
        given, taken = taken, _covering(pictures)
        weights, weight_scale = _symmetric(layer.weights.T)
        bias_scale = given.scale * weight_scale
        bias = np.round(layer.bias / bias_scale).astype("<i4")
        inputs = [len(tensors) - 1, len(tensors), len(tensors) + 1]
        tensors += [
            model.constant(f"weights{number}", weights, "INT8", weight_scale),
            model.constant(f"bias{number}", bias, "INT32", bias_scale),
            model.tensor(f"layer{number}", (1, len(bias)), "INT8", taken),
        ]
        operators.append(model.fully_connected(inputs, len(tensors) - 1, relu=not last))
    tensors.append(model.tensor("classes", (1, len(bias)), "INT8", SOFTMAX_OUTPUT))
    operators.append(model.softmax(len(tensors) - 2, len(tensors) - 1))
    return model.finish(tensors, operators, description)


def _apply(layer: Dense, pictures: Array, relu: bool) -> Array:
    sums = pictures @ layer.weights + layer.bias
    return np.maximum(sums, 0) if relu else sums


def _covering(values: Array) -> Quantised:
    """Returns the finest quantisation that covers all values, and represents zero exactly."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    scale = _scale(high - low, 255)
    return Quantised(scale, round(-128 - low / scale))


def _symmetric(weights: Array) -> tuple[Array, float]:
    scale = _scale(float(np.abs(weights).max()), 127)
    return np.round(weights / scale).astype(np.int8), scale


def _scale(width: float, steps: int) -> float:
    if not 0 < width < inf:
        raise ValueError(f"values with a range of {width} have no quantisation")
    return width / steps


class _Writer:
    """Writes tables into a flatbuffer; the format needs children before parents. Every method but
    `finish` returns the offset of what it wrote."""

    def __init__(self) -> None:
        self.builder = flatbuffers.Builder(1 << 16)
        # By convention buffer 0 is empty and belongs to all tensors without constants.
        self.buffers = [self._table("Buffer")]

    def tensor(
        self, name: str, shape: Sequence[int], kind: str, quantised: Quantised, buffer: int = 0
    ) -> int:
        return self._table(
            "Tensor",
            Name=self.builder.CreateString(name),
            Shape=self._numbers(shape, "<i4"),
            Type=getattr(tflite.TensorType, kind),
            Buffer=buffer,
            Quantization=self._table(
                "QuantizationParameters",
                Scale=self._numbers([quantised.scale], "<f4"),
                ZeroPoint=self._numbers([quantised.zero_point], "<i8"),
            ),
        )

    def constant(self, name: str, values: Array, kind: str, scale: float) -> int:
        self.buffers.append(self._table("Buffer", Data=self._aligned(values.tobytes())))
        number = len(self.buffers) - 1
        return self.tensor(name, values.shape, kind, Quantised(scale, 0), number)

    def fully_connected(self, inputs: Sequence[int], output: int, relu: bool) -> int:
        activation = tflite.ActivationFunctionType
        options = self._table(
            "FullyConnectedOptions",
            FusedActivationFunction=activation.RELU if relu else activation.NONE,
        )
        return self._operator(0, inputs, output, "FullyConnectedOptions", options)

    def softmax(self, given: int, output: int) -> int:
        options = self._table("SoftmaxOptions", Beta=1.0)
        return self._operator(1, [given], output, "SoftmaxOptions", options)

    def finish(self, tensors: Sequence[int], operators: Sequence[int], description: str) -> bytes:
        """The whole file. The first tensor is the model's input, the last its output."""
        graph = self._table(
            "SubGraph",
            Tensors=self._tables(tensors),
            Inputs=self._numbers([0], "<i4"),
            Outputs=self._numbers([len(tensors) - 1], "<i4"),
            Operators=self._tables(operators),
        )
        codes = [  # in the order in which the operators above count them
            self._operator_code("FULLY_CONNECTED", FULLY_CONNECTED_VERSION),
            self._operator_code("SOFTMAX", SOFTMAX_VERSION),
        ]
        model = self._table(
            "Model",
            Version=SCHEMA_VERSION,
            OperatorCodes=self._tables(codes),
            Subgraphs=self._tables([graph]),
            Description=self.builder.CreateString(description),
            Buffers=self._tables(self.buffers),
        )
        self.builder.Finish(model, file_identifier=FILE_IDENTIFIER)
        return bytes(self.builder.Output())

    def _operator(
        self, code: int, inputs: Sequence[int], output: int, kind: str, options: int
    ) -> int:
        return self._table(
            "Operator",
            OpcodeIndex=code,
            Inputs=self._numbers(inputs, "<i4"),
            Outputs=self._numbers([output], "<i4"),
            BuiltinOptionsType=getattr(tflite.BuiltinOptions, kind),
            BuiltinOptions=options,
        )

    def _operator_code(self, name: str, version: int) -> int:
        code = getattr(tflite.BuiltinOperator, name)
        # Old readers, from when a code had one byte, read the deprecated field.
        return self._table(
            "OperatorCode", DeprecatedBuiltinCode=code, BuiltinCode=code, Version=version
        )

    def _table(self, kind: str, **fields: Any) -> int:
        """`tflite` has a <kind>Start, a <kind>Add<field> for each field and a <kind>End."""
        getattr(tflite, f"{kind}Start")(self.builder)
        for field, value in fields.items():
            getattr(tflite, f"{kind}Add{field}")(self.builder, value)
        return int(getattr(tflite, f"{kind}End")(self.builder))

    def _numbers(self, values: Sequence[float], code: str) -> int:
        return int(self.builder.CreateNumpyVector(np.array(values, dtype=code)))

    def _tables(self, offsets: Sequence[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())

    def _aligned(self, data: bytes) -> int:
        self.builder.StartVector(1, len(data), BUFFER_ALIGNMENT)
        for byte in reversed(data):
            self.builder.PrependByte(byte)
        return int(self.builder.EndVector())
