"""Runs these models in plain Python: int8 networks of FULLY_CONNECTED layers and a SOFTMAX.

    model = load("digits-v2.tflite")
    scores = model(picture)          # 64 bytes in, 10 out, as the int8 tensors have them

It is a user's function for a board's FunctionRuntime (docs/boards.md), and runs on CPython and
MicroPython. If a board's firmware has TensorFlow Lite, use that instead: this code needs a few
microseconds for each weight, and keeps the file in RAM.

Sums are exact. An output is rounded from a float, while TensorFlow Lite rounds a product of
integers, so they may differ by one step. The format of the file: tensorflow/lite/schema/
schema.fbs; the arithmetic: the TensorFlow Lite 8-bit quantization specification.
"""

import math
import struct

# Fields of the schema's tables, by their number.
OPERATOR_CODES, SUBGRAPHS, BUFFERS = 1, 2, 4  # Model
TENSORS, INPUTS, OUTPUTS, OPERATORS = 0, 1, 2, 3  # SubGraph
BUFFER, QUANTIZATION = 2, 4  # Tensor
SCALE, ZERO_POINT = 2, 3  # QuantizationParameters
OPCODE, OP_INPUTS, OP_OUTPUTS, OPTIONS = 0, 1, 2, 4  # Operator
FULLY_CONNECTED, SOFTMAX = 9, 25  # BuiltinOperator
RELU = 1  # ActivationFunctionType


def load(path):
    with open(path, "rb") as file:
        return Model(file.read())


class Model:
    """A loaded model. Raises ValueError for a file with other operators, or one that is not a
    model."""

    def __init__(self, data):
        if data[4:8] != b"TFL3":
            raise ValueError("not a TFLite file")
        self.data = data
        root = self.at(0)
        graph = self.vector(root, SUBGRAPHS)[0]
        codes = [self.byte(code, 0) for code in self.vector(root, OPERATOR_CODES)]
        self.buffers = self.vector(root, BUFFERS)
        self.tensors = self.vector(graph, TENSORS)
        self.layers = []
        for operator in self.vector(graph, OPERATORS):
            code = codes[self.number(operator, OPCODE)]
            if code not in (FULLY_CONNECTED, SOFTMAX):
                raise ValueError(f"operator {code} is not one that runs here")
            given, out = self.numbers(operator, OP_INPUTS), self.numbers(operator, OP_OUTPUTS)[0]
            options = self.child(operator, OPTIONS)
            relu = code == FULLY_CONNECTED and self.byte(options, 0) == RELU
            self.layers.append((code, given, out, relu))

    def __call__(self, picture):
        """The output tensor's bytes for the input tensor's."""
        values = struct.unpack(f"{len(picture)}b", picture)
        for code, given, out, relu in self.layers:
            scale, zero = self.quantised(given[0])
            out_scale, out_zero = self.quantised(out)
            if code == SOFTMAX:
                powers = [math.exp((value - max(values)) * scale) for value in values]
                reals = [power / sum(powers) for power in powers]
            else:
                weight_scale, _ = self.quantised(given[1])
                sums = self.sums(values, zero, given[1], given[2])
                reals = [number * scale * weight_scale for number in sums]
            least = out_zero if relu else -128
            values = [
                max(least, min(127, math.floor(real / out_scale + 0.5) + out_zero))
                for real in reals
            ]
        return struct.pack(f"{len(values)}b", *values)

    def sums(self, values, zero, weights, bias):
        """Exact: the weighted sums of a layer."""
        start, _ = self.constant(weights)
        code = f"{len(values)}b"
        values = [value - zero for value in values]
        found = []
        bias_start, bias_bytes = self.constant(bias)
        for number in struct.unpack_from(f"<{bias_bytes // 4}i", self.data, bias_start):
            row = struct.unpack_from(code, self.data, start)
            start += len(values)
            found.append(number + sum(a * b for a, b in zip(values, row)))  # noqa: B905
        return found

    # The flatbuffer: a table begins with the offset back to the list of its fields' places.

    def at(self, place):
        """What the offset in `place` points to."""
        return place + struct.unpack_from("<I", self.data, place)[0]

    def field(self, table, number):
        """The place of a field; 0 where the table has none."""
        places = table - struct.unpack_from("<i", self.data, table)[0]
        if 4 + 2 * number >= struct.unpack_from("<H", self.data, places)[0]:
            return 0
        offset = struct.unpack_from("<H", self.data, places + 4 + 2 * number)[0]
        return table + offset if offset else 0

    def number(self, table, field):
        place = self.field(table, field)
        return struct.unpack_from("<I", self.data, place)[0] if place else 0

    def byte(self, table, field):
        place = self.field(table, field)
        return self.data[place] if place else 0

    def child(self, table, field):
        return self.at(self.field(table, field))

    def vector(self, table, field):
        """The tables of a list."""
        place = self.child(table, field)
        count = struct.unpack_from("<I", self.data, place)[0]
        return [self.at(place + 4 + 4 * index) for index in range(count)]

    def numbers(self, table, field, code="i"):
        place = self.child(table, field)
        count = struct.unpack_from("<I", self.data, place)[0]
        return struct.unpack_from(f"<{count}{code}", self.data, place + 4)

    def constant(self, tensor):
        """(start, bytes) of a constant tensor."""
        place = self.child(self.buffers[self.number(self.tensors[tensor], BUFFER)], 0)
        return place + 4, struct.unpack_from("<I", self.data, place)[0]

    def quantised(self, tensor):
        """(scale, zero point)."""
        quantised = self.child(self.tensors[tensor], QUANTIZATION)
        return self.numbers(quantised, SCALE, "f")[0], self.numbers(quantised, ZERO_POINT, "q")[0]
