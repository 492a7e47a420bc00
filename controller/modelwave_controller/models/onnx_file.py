"""Reads what an ONNX file says of itself (onnx.proto3): its versions, operators, weights and the
shapes of its outputs. The weights are counted, not read."""

from dataclasses import dataclass, field

from modelwave_controller.fit import ModelError
from modelwave_controller.models import protobuf

MAX_OPERATORS = 100_000  # nodes, also those of graphs inside of operators
MAX_OUTPUTS = 1000
MAX_DIMENSIONS = 64  # numpy has as many
_MAX_DEPTH = 16
# Numbers of fields, by message.
_IR_VERSION, _GRAPH, _OPSETS = 1, 7, 8  # ModelProto
_DOMAIN, _VERSION = 1, 2  # OperatorSetIdProto
_NODE, _INITIALIZER, _OUTPUT = 1, 5, 12  # GraphProto
# ValueInfoProto, TypeProto, TypeProto.Tensor, TensorShapeProto: fields that lead to a dimension.
_TO_DIMENSION = (2, 1, 2, 1)
_SIZE = 1  # TensorShapeProto.Dimension
_KIND, _ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7  # NodeProto
_TENSOR, _SUBGRAPH = 5, 6  # AttributeProto
_LOCATION, _EXTERNAL = 14, 1  # TensorProto, and the value for "in another file"
_OWN_DOMAINS = ("", "ai.onnx")


@dataclass
class OnnxModel:
    """`opsets`: {domain: version}, "" for ONNX's own. `operators`: their names, those of other
    domains as "com.microsoft:Gelu". `weights`: bytes of the initializers as they are stored.
    `outputs`: their shapes, 0 for a side that is open."""

    ir_version: int = 0
    opsets: dict[str, int] = field(default_factory=dict)
    operators: set[str] = field(default_factory=set)
    weights: int = 0
    outputs: list[tuple[int, ...]] = field(default_factory=list)
    is_external: bool = False  # some weights are in other files

    @property
    def opset(self) -> int:
        """Of ONNX's own operators; 0 if the model says none."""
        return self.opsets.get("", 0)


def read(data: bytes) -> OnnxModel:
    """Returns what the file says. Raises ModelError if it is damaged, or no ONNX file."""
    return _Reader(data).model()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.found = OnnxModel()
        self.nodes_left = MAX_OPERATORS

    def model(self) -> OnnxModel:
        has_graph = False
        for number, value, size in protobuf.fields(self.data, 0, len(self.data)):
            if number == _IR_VERSION and size is None:
                self.found.ir_version = value
            elif number == _OPSETS and size is not None:
                self._opset(value, value + size)
            elif number == _GRAPH and size is not None:
                has_graph = True
                self._graph(value, value + size, 0)
        if not has_graph or not self.found.operators:
            raise ModelError("an ONNX file without a graph: nothing to run")
        return self.found

    def _opset(self, start: int, end: int) -> None:
        domain, version = "", 0
        for number, value, size in protobuf.fields(self.data, start, end):
            if number == _DOMAIN and size is not None:
                domain = self._text(value, size)
            elif number == _VERSION and size is None:
                version = value
        self.found.opsets["" if domain in _OWN_DOMAINS else domain] = version

    def _graph(self, start: int, end: int, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise ModelError(f"graphs are nested more than {_MAX_DEPTH} deep")
        for number, value, size in protobuf.messages(self.data, start, end):
            if number == _NODE:
                self._node(value, value + size, depth)
            elif number == _INITIALIZER:
                self.found.weights += size
                self._tensor(value, value + size)
            elif number == _OUTPUT and not depth:
                self._output(value, value + size)

    def _output(self, start: int, end: int) -> None:
        if len(self.found.outputs) == MAX_OUTPUTS:
            raise ModelError(f"more than {MAX_OUTPUTS:,} outputs")
        parts = [(start, end)]
        for wanted in _TO_DIMENSION:
            parts = [
                (value, value + size)
                for part in parts
                for number, value, size in protobuf.messages(self.data, *part)
                if number == wanted
            ]
            if len(parts) > MAX_DIMENSIONS:
                raise ModelError(f"an output of more than {MAX_DIMENSIONS} dimensions")
        self.found.outputs.append(tuple(self._side(*part) for part in parts))

    def _side(self, start: int, end: int) -> int:
        found = 0
        for number, value, size in protobuf.fields(self.data, start, end):
            if number == _SIZE and size is None:
                found = value
        return found

    def _node(self, start: int, end: int, depth: int) -> None:
        self.nodes_left -= 1
        if self.nodes_left < 0:
            raise ModelError(f"more than {MAX_OPERATORS:,} operators")
        kind = domain = ""
        for number, value, size in protobuf.messages(self.data, start, end):
            if number == _KIND:
                kind = self._text(value, size)
            elif number == _NODE_DOMAIN:
                domain = self._text(value, size)
            elif number == _ATTRIBUTE:
                self._attribute(value, value + size, depth)
        self.found.operators.add(kind if domain in _OWN_DOMAINS else f"{domain}:{kind}")

    def _attribute(self, start: int, end: int, depth: int) -> None:
        for number, value, size in protobuf.messages(self.data, start, end):
            if number == _SUBGRAPH:
                self._graph(value, value + size, depth + 1)
            elif number == _TENSOR:
                self.found.weights += size
                self._tensor(value, value + size)

    def _tensor(self, start: int, end: int) -> None:
        for number, value, size in protobuf.fields(self.data, start, end):
            if number == _LOCATION and size is None and value == _EXTERNAL:
                self.found.is_external = True

    def _text(self, start: int, size: int) -> str:
        return self.data[start : start + min(size, 200)].decode("utf-8", "replace")
