"""Reads a .tflite file into subgraphs of tensors and operators, and checks it.

Only what the arena depends on is read: weights are counted and never copied."""

from dataclasses import dataclass, field
from math import prod
from struct import Struct

from modelwave_controller.fit import flexbuffer, formats, tflite_schema
from modelwave_controller.fit.errors import ModelError, ModelRefused, Unknown
from modelwave_controller.fit.flatbuffer import File, Table
from modelwave_controller.fit.format_signs import sample_bytes
from modelwave_controller.fit.stored import INSIDE, Stored, stored_buffer, stored_options
from modelwave_controller.fit.tflite_schema import ELEMENT_BYTES, Slot

# Limits for all subgraphs together. The largest models people run with TFLM have some hundred
# of each; the time for planning grows with the square of the tensors.
MAX_TENSORS = 8192
MAX_OPERATORS = 4096
MAX_BUFFERS = 2 * MAX_TENSORS
MAX_SUBGRAPHS = MAX_CODES = MAX_METADATA = 256
MAX_DIMENSIONS = 32
MAX_ADDRESSABLE_BYTES = 2**31 - 1  # of one tensor: TFLM counts in int32


@dataclass(slots=True)
class Tensor:
    """One tensor. `bytes` is its size in the arena, also if it is never placed there;
    `constant_bytes` is its size in the file, 0 for a computed tensor."""

    index: int
    name: str
    shape: tuple[int, ...]
    kind: str  # "INT8"
    bytes: int
    constant_bytes: int
    variable: bool
    channels: int  # how many scales it is quantised with, 0 for not at all
    scale: float  # the first of them, and its zero point
    zero_point: int
    axis: int  # along which the scales go
    unreadable: str | None = None  # why TFLM cannot read its constant data

    @property
    def constant(self) -> bool:
        return self.constant_bytes > 0

    @property
    def elements(self) -> int:
        return prod(self.shape)

    def dim(self, axis: int) -> int:
        """Returns one dimension of the shape. Raises Refused if the shape does not have it."""
        if not -len(self.shape) <= axis < len(self.shape):
            raise ModelRefused(f"tensor {self.index} has the shape {list(self.shape)}")
        return self.shape[axis]


@dataclass(slots=True)
class Operator:
    """One operator. `inputs` and `outputs` are tensors of the same subgraph; None stands for an
    optional input that is left out. `custom_options` are those of a custom operator, without those
    that are longer than any that TFLM knows. `unreadable` says why TFLM cannot read them."""

    index: int
    name: str  # "CONV_2D", or the custom operator's own
    custom: bool
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    intermediates: tuple[Tensor, ...]
    options: dict[str, int]
    custom_options: bytes = b""
    unreadable: str | None = None
    lists: dict[str, tuple[int, ...]] = field(default_factory=dict)  # further options


@dataclass(slots=True)
class Subgraph:
    tensors: list[Tensor]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: list[Operator] = field(default_factory=list)


@dataclass(slots=True)
class Model:
    """A model as TFLM sees it. `weights` are the bytes of all constants; `offline_plan` has an
    offset or -1 for each tensor of all subgraphs, or is None; `variables` is the number of its
    resource variables."""

    subgraphs: list[Subgraph]
    weights: int
    offline_plan: tuple[int, ...] | None
    variables: int = 0

    @property
    def operators(self) -> list[Operator]:
        """Returns the operators of all subgraphs, in the order in which TFLM prepares them."""
        return [operator for graph in self.subgraphs for operator in graph.operators]


def read_model(data: bytes) -> Model:
    """Reads a .tflite file. Raises ModelError if it is not a model, and Unknown or Refused if
    the tensors' shapes or types are not supported; the reason holds for boards and hosts."""
    if why := formats.why_not_tflite(sample_bytes(data)):
        raise ModelError(why)
    root = File(data).root()
    version = root.u32(Slot.MODEL_VERSION)
    if version != tflite_schema.VERSION:
        raise ModelError(
            f"schema version {version}; TensorFlow Lite has {tflite_schema.VERSION} only"
        )
    return _ModelReader(root).model()


class _ModelReader:
    def __init__(self, root: Table) -> None:
        self.root = root
        buffers = root.tables(Slot.MODEL_BUFFERS, MAX_BUFFERS)
        self.buffers = [stored_buffer(buffer) for buffer in buffers]
        self.codes = [self._code(code) for code in root.tables(Slot.MODEL_CODES, MAX_CODES)]
        self.tensors_left = MAX_TENSORS
        self.operators_left = MAX_OPERATORS
        self.variables: dict[tuple[bytes, bytes], int] = {}

    def model(self) -> Model:
        tables = self.root.tables(Slot.MODEL_SUBGRAPHS, MAX_SUBGRAPHS)
        if not tables:
            raise ModelError("no subgraph: nothing to run")
        subgraphs = [self._subgraph(table) for table in tables]
        if not subgraphs[0].tensors:
            raise ModelError("the main subgraph is empty: nothing to run")
        for operator in (operator for graph in subgraphs for operator in graph.operators):
            for option in tflite_schema.CALLS.get(operator.name, ()):
                if not 0 <= operator.options[option] < len(subgraphs):
                    raise ModelError(
                        f"{operator.name} {operator.index} calls a subgraph that is not there"
                    )
        tensors = sum(len(graph.tensors) for graph in subgraphs)
        weights = sum(buffer.count for buffer in self.buffers)
        return Model(subgraphs, weights, self._plan(tensors), len(self.variables))

    def _code(self, table: Table) -> tuple[str, bool]:
        # Codes beyond 127 are in the newer field only, older files have the older one only.
        number = max(table.i8(Slot.CODE_OLD), table.i32(Slot.CODE_BUILTIN))
        if not 0 <= number < len(tflite_schema.OPERATORS):
            return f"operator code {number}", False
        name = tflite_schema.OPERATORS[number]
        if name == tflite_schema.CUSTOM:
            return table.text(Slot.CODE_CUSTOM) or "custom operator without a name", True
        return name, False

    def _subgraph(self, table: Table) -> Subgraph:
        tables = table.tables(Slot.GRAPH_TENSORS, self.tensors_left)
        self.tensors_left -= len(tables)
        tensors = [self._tensor(index, each) for index, each in enumerate(tables)]
        graph = Subgraph(
            tensors,
            _pick(tensors, table.ints(Slot.GRAPH_INPUTS)),
            _pick(tensors, table.ints(Slot.GRAPH_OUTPUTS)),
        )
        operators = table.tables(Slot.GRAPH_OPERATORS, self.operators_left)
        self.operators_left -= len(operators)
        for index, each in enumerate(operators):
            graph.operators.append(self._operator(index, each, tensors))
        return graph

    def _tensor(self, index: int, table: Table) -> Tensor:
        name = table.text(Slot.TENSOR_NAME)
        kind = _kind(table.i8(Slot.TENSOR_TYPE))
        _, dimensions = table.vector(Slot.TENSOR_SHAPE, 4)
        if dimensions > MAX_DIMENSIONS:
            raise ModelError(f"tensor {index} has {dimensions} dimensions")
        shape = table.ints(Slot.TENSOR_SHAPE)
        if min(shape, default=0) < 0:
            raise Unknown(f"dynamic shape {list(shape)} of tensor {index} {name}")
        if kind not in tflite_schema.ELEMENT_BYTES:
            raise ModelRefused(
                f"tensor {index} {name} is of type {kind}: its size is not in the file"
            )
        size = prod(shape) * tflite_schema.ELEMENT_BYTES[kind]
        if size > MAX_ADDRESSABLE_BYTES:
            raise ModelRefused(
                f"tensor {index} {name} has {size} bytes, {MAX_ADDRESSABLE_BYTES} at most"
            )
        if table.u32(Slot.TENSOR_EXTERNAL):
            raise ModelRefused(
                f"the data of tensor {index} {name} are in another file; a release has one"
            )
        quantization = table.table(Slot.TENSOR_QUANTIZATION)
        buffer = self._buffer(table.u32(Slot.TENSOR_BUFFER))
        return Tensor(
            index,
            name,
            shape,
            kind,
            size,
            buffer.count,
            bool(table.u8(Slot.TENSOR_VARIABLE)),
            *_quantization(quantization),
            _unreadable(table, buffer, kind, prod(shape)),
        )

    def _operator(self, index: int, table: Table, tensors: list[Tensor]) -> Operator:
        code = table.u32(Slot.OPERATOR_CODE)
        if code >= len(self.codes):
            raise ModelError(
                f"operator {index} refers to operator code {code} of {len(self.codes)}"
            )
        name, custom = self.codes[code]
        fields = {} if custom else tflite_schema.OPTIONS.get(name, {})
        options = table.table(Slot.OPERATOR_OPTIONS) if fields else None
        values = {
            key: getattr(options, kind)(slot, default) if options else default
            for key, (slot, kind, default) in fields.items()
        }
        lists = {}
        if name in tflite_schema.LISTS and not custom:
            given = table.table(Slot.OPERATOR_OPTIONS)
            key, slot = tflite_schema.LISTS[name]
            lists[key] = given.ints(slot) if given else ()
        if name == tflite_schema.VARIABLE_HANDLE and not custom:
            values["variable"] = self._variable(table.table(Slot.OPERATOR_OPTIONS))
        return Operator(
            index,
            name,
            custom,
            tuple(
                None if number == -1 else _at(tensors, number)
                for number in table.ints(Slot.OPERATOR_INPUTS)
            ),
            _pick(tensors, table.ints(Slot.OPERATOR_OUTPUTS)),
            _pick(tensors, table.ints(Slot.OPERATOR_INTERMEDIATES)),
            values,
            self._custom_options(table) if custom else b"",
            f"its options are behind the flatbuffer: {INSIDE}"
            if custom and stored_options(table).behind
            else None,
            lists,
        )

    def _custom_options(self, table: Table) -> bytes:
        options = stored_options(table)
        if options.count > flexbuffer.MAX_BYTES:
            return b""
        self.root.file.spend(options.count // 4)
        return self.root.file.data[options.start : options.start + options.count]

    def _variable(self, options: Table | None) -> int:
        """Returns the number of the resource variable that a handle names; NO_VARIABLE if it
        names none."""
        if options is None or not options.has(Slot.VARIABLE_NAME):
            return tflite_schema.NO_VARIABLE
        container, name = options.name(Slot.VARIABLE_CONTAINER), options.name(Slot.VARIABLE_NAME)
        return self.variables.setdefault((container, name), len(self.variables))

    def _plan(self, tensors: int) -> tuple[int, ...] | None:
        """Reads the offsets that an offline planner (Vela, for example) wrote into the metadata:
        version, subgraph, number of tensors, then an int32 for each."""
        for entry in self.root.tables(Slot.MODEL_METADATA, MAX_METADATA):
            name = entry.text(Slot.METADATA_NAME)
            if name == tflite_schema.COMPRESSED:
                raise Unknown("compressed tensors: their memory was never measured")
            if name != tflite_schema.OFFLINE_PLAN:
                continue
            buffer = entry.u32(Slot.METADATA_BUFFER)
            if self._buffer(buffer).count < 12 + 4 * tensors:
                raise ModelError("the offline memory plan is cut off")
            _, _, planned, *offsets = Struct(f"<{3 + tensors}i").unpack_from(
                self.root.file.data, self.buffers[buffer].start
            )
            if planned != tensors:
                raise ModelRefused(f"the offline memory plan has {planned} tensors, not {tensors}")
            if min(offsets) < -1:
                raise ModelError("the offline memory plan has negative offsets")
            return tuple(offsets)
        return None

    def _buffer(self, number: int) -> Stored:
        if number >= len(self.buffers):
            raise ModelError(f"refers to buffer {number} of {len(self.buffers)}")
        return self.buffers[number]


def _kind(number: int) -> str:
    known = 0 <= number < len(tflite_schema.TENSOR_TYPES)
    return tflite_schema.TENSOR_TYPES[number] if known else f"number {number}"


def _unreadable(table: Table, buffer: Stored, kind: str, elements: int) -> str | None:
    """Returns why TFLM cannot read the data of a constant tensor. It checks none of this, and
    computes with whatever it finds."""
    if buffer.behind:
        return f"its data are behind the flatbuffer, where TFLM does not read: {INSIDE}"
    if table.has(Slot.TENSOR_SPARSITY):
        return "its data are sparse, and TFLM takes them for dense; convert it without sparsity"
    wanted = (elements + 1) // 2 if kind == "INT4" else elements * ELEMENT_BYTES[kind]
    if 0 < buffer.count < wanted:
        return f"it has {buffer.count} bytes in the file, and its shape takes {wanted}"
    return None


def _quantization(table: Table | None) -> tuple[int, float, int, int]:
    """Returns (number of scales, the first scale, the first zero point, axis); zeros unless
    both vectors are there, as TFLM needs both."""
    if table is None:
        return 0, 0.0, 0, 0
    _, scales = table.vector(Slot.QUANTIZATION_SCALE, 4)
    _, zero_points = table.vector(Slot.QUANTIZATION_ZERO_POINT, 8)
    if not scales or not zero_points:
        return 0, 0.0, 0, 0
    return (
        scales,
        table.first_float(Slot.QUANTIZATION_SCALE),
        table.first_long(Slot.QUANTIZATION_ZERO_POINT),
        table.i32(Slot.QUANTIZATION_AXIS),
    )


def _pick(tensors: list[Tensor], numbers: tuple[int, ...]) -> tuple[Tensor, ...]:
    return tuple(_at(tensors, number) for number in numbers)


def _at(tensors: list[Tensor], number: int) -> Tensor:
    if not 0 <= number < len(tensors):
        raise ModelError(f"refers to tensor {number} of {len(tensors)}")
    return tensors[number]
