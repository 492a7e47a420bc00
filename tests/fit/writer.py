"""Writes .tflite files (schema.fbs of TensorFlow Lite, version 3) from Python values, so
that a test can say in a few lines which graph it means."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from struct import pack
from typing import Any

import flatbuffers
import numpy as np
import tflite

MARK = 0x5EA4C4ED_00000000
ALIGNMENT = 16  # schema.fbs: `force_align: 16` on a buffer's data
DTYPES = {
    "FLOAT32": "<f4", "INT32": "<i4", "INT8": "<i1", "INT16": "<i2", "INT64": "<i8",
    "UINT8": "<u1", "BOOL": "?",
}  # fmt: skip


@dataclass
class Tensor:
    shape: Sequence[int] | None
    kind: str
    data: bytes | None = None
    scales: Sequence[float] = ()
    zero_points: Sequence[int] = ()
    axis: int = 0
    variable: bool = False
    signature: Sequence[int] = ()  # the shape with -1 where the model leaves it open


@dataclass
class Operator:
    code: str
    inputs: Sequence[int]
    outputs: Sequence[int]
    options: str | None
    values: dict[str, Any]
    intermediates: Sequence[int] = ()
    custom: bytes | None = None


@dataclass
class Graph:
    """One subgraph; tensors are named by the index that `tensor` or `constant` returns."""

    inputs: Sequence[int] = ()
    outputs: Sequence[int] = ()
    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)

    def tensor(self, shape: Sequence[int] | None, kind: str = "INT8", **more: Any) -> int:
        if kind in ("INT8", "INT16", "UINT8") and "scales" not in more:
            more |= {"scales": [0.1], "zero_points": [0]}
        self.tensors.append(Tensor(shape, kind, **more))
        return len(self.tensors) - 1

    def constant(self, values: Any, kind: str = "INT32", **more: Any) -> int:
        array = np.asarray(values, DTYPES[kind])
        return self.tensor(array.shape, kind, data=array.tobytes(), **more)

    def op(
        self,
        code: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: str | None = None,
        *,
        intermediates: Sequence[int] = (),
        custom: bytes | None = None,
        **values: Any,
    ) -> None:
        """`options` names the table ("Conv2D" for Conv2DOptions), `values` its fields; a
        `code` that no builtin has is a custom operator."""
        self.operators.append(
            Operator(code, inputs, outputs, options, values, intermediates, custom)
        )


def write(
    *graphs: Graph,
    metadata: dict[str, bytes] | None = None,
    behind: bool = False,
    versions: dict[str, int] | None = None,
) -> bytes:
    """The bytes of the file; the first graph is the one that runs. With `behind`, buffers and
    options of custom operators lie behind the flatbuffer, as in large models. `versions` of
    operators, 1 if not given; those that no graph uses are in the file's list all the same."""
    writer = _Writer(behind, versions or {})
    return writer.place_behind(writer.model(graphs, metadata or {}))


class _Writer:
    def __init__(self, behind: bool, versions: dict[str, int]) -> None:
        self.behind: list[bytes] | None = [] if behind else None
        self.builder = flatbuffers.Builder(4096)
        self.buffers: list[bytes | None] = [None]
        self.versions = versions
        self.codes = list(versions)

    def model(self, graphs: Sequence[Graph], metadata: dict[str, bytes]) -> bytes:
        b = self.builder
        subgraphs = self._tables("Model", "Subgraphs", [self._graph(graph) for graph in graphs])
        entries = self._tables(
            "Model", "Metadata", [self._metadata(*item) for item in metadata.items()]
        )
        codes = self._tables("Model", "OperatorCodes", [self._code(code) for code in self.codes])
        buffers = self._tables("Model", "Buffers", [self._buffer(data) for data in self.buffers])
        tflite.ModelStart(b)
        tflite.ModelAddVersion(b, 3)
        tflite.ModelAddOperatorCodes(b, codes)
        tflite.ModelAddSubgraphs(b, subgraphs)
        tflite.ModelAddBuffers(b, buffers)
        if metadata:
            tflite.ModelAddMetadata(b, entries)
        b.Finish(tflite.ModelEnd(b), b"TFL3")
        return bytes(b.Output())

    def _graph(self, graph: Graph) -> int:
        b = self.builder
        tensors = self._tables(
            "SubGraph", "Tensors", [self._tensor(i, t) for i, t in enumerate(graph.tensors)]
        )
        operators = self._tables(
            "SubGraph", "Operators", [self._operator(operator) for operator in graph.operators]
        )
        inputs, outputs = self._ints(graph.inputs), self._ints(graph.outputs)
        tflite.SubGraphStart(b)
        tflite.SubGraphAddTensors(b, tensors)
        tflite.SubGraphAddInputs(b, inputs)
        tflite.SubGraphAddOutputs(b, outputs)
        tflite.SubGraphAddOperators(b, operators)
        return int(tflite.SubGraphEnd(b))

    def _tensor(self, index: int, tensor: Tensor) -> int:
        b = self.builder
        name = b.CreateString(f"tensor{index}")
        shape = None if tensor.shape is None else self._ints(tensor.shape)
        signature = self._ints(tensor.signature) if tensor.signature else None
        quantization = self._quantization(tensor)
        tflite.TensorStart(b)
        if shape is not None:
            tflite.TensorAddShape(b, shape)
        tflite.TensorAddType(b, getattr(tflite.TensorType, tensor.kind))
        tflite.TensorAddBuffer(b, self._keep(tensor.data))
        tflite.TensorAddName(b, name)
        if quantization is not None:
            tflite.TensorAddQuantization(b, quantization)
        tflite.TensorAddIsVariable(b, tensor.variable)
        if signature is not None:
            tflite.TensorAddShapeSignature(b, signature)
        return int(tflite.TensorEnd(b))

    def _quantization(self, tensor: Tensor) -> int | None:
        if not tensor.scales:
            return None
        b = self.builder
        scales = b.CreateNumpyVector(np.asarray(tensor.scales, "<f4"))
        zeros = b.CreateNumpyVector(np.asarray(tensor.zero_points, "<i8"))
        tflite.QuantizationParametersStart(b)
        tflite.QuantizationParametersAddScale(b, scales)
        tflite.QuantizationParametersAddZeroPoint(b, zeros)
        tflite.QuantizationParametersAddQuantizedDimension(b, tensor.axis)
        return int(tflite.QuantizationParametersEnd(b))

    def _operator(self, operator: Operator) -> int:
        b = self.builder
        if operator.code not in self.codes:
            self.codes.append(operator.code)
        inputs, outputs = self._ints(operator.inputs), self._ints(operator.outputs)
        intermediates = self._ints(operator.intermediates) if operator.intermediates else None
        custom = None
        if operator.custom is not None and self.behind is None:
            custom = b.CreateByteVector(operator.custom)
        options = self._options(operator)
        tflite.OperatorStart(b)
        tflite.OperatorAddOpcodeIndex(b, self.codes.index(operator.code))
        tflite.OperatorAddInputs(b, inputs)
        tflite.OperatorAddOutputs(b, outputs)
        if options is not None:
            kind = getattr(tflite.BuiltinOptions, f"{operator.options}Options")
            tflite.OperatorAddBuiltinOptionsType(b, kind)
            tflite.OperatorAddBuiltinOptions(b, options)
        if intermediates is not None:
            tflite.OperatorAddIntermediates(b, intermediates)
        if custom is not None:
            tflite.OperatorAddCustomOptions(b, custom)
        elif operator.custom is not None:
            tflite.OperatorAddLargeCustomOptionsOffset(b, self._later(operator.custom))
            tflite.OperatorAddLargeCustomOptionsSize(b, len(operator.custom))
        return int(tflite.OperatorEnd(b))

    def _options(self, operator: Operator) -> int | None:
        if operator.options is None:
            return None
        b, table = self.builder, f"{operator.options}Options"
        values = {key: self._option(value) for key, value in operator.values.items()}
        getattr(tflite, f"{table}Start")(b)
        for key, value in values.items():
            getattr(tflite, f"{table}Add{key}")(b, value)
        return int(getattr(tflite, f"{table}End")(b))

    def _option(self, value: Any) -> Any:
        """A number stays; lists and texts lie outside the table."""
        if isinstance(value, str):
            return self.builder.CreateString(value)
        return self._ints(value) if isinstance(value, list) else value

    def _code(self, name: str) -> int:
        b = self.builder
        builtin = getattr(tflite.BuiltinOperator, name, None)
        custom = b.CreateString(name) if builtin is None else None
        number = tflite.BuiltinOperator.CUSTOM if builtin is None else builtin
        tflite.OperatorCodeStart(b)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(b, min(number, 127))
        if custom is not None:
            tflite.OperatorCodeAddCustomCode(b, custom)
        tflite.OperatorCodeAddVersion(b, self.versions.get(name, 1))
        tflite.OperatorCodeAddBuiltinCode(b, number)
        return int(tflite.OperatorCodeEnd(b))

    def _metadata(self, name: str, data: bytes) -> int:
        b = self.builder
        text, buffer = b.CreateString(name), self._keep(data)
        tflite.MetadataStart(b)
        tflite.MetadataAddName(b, text)
        tflite.MetadataAddBuffer(b, buffer)
        return int(tflite.MetadataEnd(b))

    def _keep(self, data: bytes | None) -> int:
        if data is None:
            return 0
        self.buffers.append(data)
        return len(self.buffers) - 1

    def _buffer(self, data: bytes | None) -> int:
        b = self.builder
        vector = None
        if data is not None and self.behind is None:
            b.StartVector(1, len(data), ALIGNMENT)
            b.head -= len(data)
            b.Bytes[b.head : b.head + len(data)] = data
            vector = b.EndVector()
        tflite.BufferStart(b)
        if vector is not None:
            tflite.BufferAddData(b, vector)
        elif data is not None:
            tflite.BufferAddOffset(b, self._later(data))
            tflite.BufferAddSize(b, len(data))
        return int(tflite.BufferEnd(b))

    def _later(self, data: bytes) -> int:
        """A mark in place of an offset that is not known yet."""
        assert self.behind is not None
        self.behind.append(data)
        return MARK + len(self.behind) - 1

    def place_behind(self, data: bytes) -> bytes:
        for number, one in enumerate(self.behind or ()):
            data += bytes(-len(data) % ALIGNMENT)
            data = data.replace(pack("<Q", MARK + number), pack("<Q", len(data))) + one
        return data

    def _ints(self, values: Sequence[int]) -> int:
        return int(self.builder.CreateNumpyVector(np.asarray(values, "<i4")))

    def _tables(self, owner: str, field_name: str, offsets: Sequence[int]) -> int:
        b = self.builder
        getattr(tflite, f"{owner}Start{field_name}Vector")(b, len(offsets))
        for offset in reversed(offsets):
            b.PrependUOffsetTRelative(offset)
        return int(b.EndVector())
