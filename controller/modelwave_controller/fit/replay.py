"""Replays TFLM's AllocateTensors, allocation by allocation (micro_interpreter.cc,
micro_allocator.cc).

The arena can be fullest in one of three phases:

    prepare   kernels prepare: persistent buffers, scratch requests, one node's temporaries
    planning  tensors are planned: persistent buffers, temporaries, the planner's lists
    final     everything is in place: the planned tensors and the persistent buffers

arena_used_bytes() returns the need of the last phase; AllocateTensors succeeds only if all
three fit."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from modelwave_controller.fit.arena import Arena, align
from modelwave_controller.fit.errors import ModelRefused, Unknown
from modelwave_controller.fit.kernel_data import Kernel, Tables
from modelwave_controller.fit.lifetimes import NEVER, Lifetimes
from modelwave_controller.fit.model import Model, Operator, Tensor
from modelwave_controller.fit.node import MAX_SCRATCH_REQUESTS, Node, TensorSizes, tensor_parts
from modelwave_controller.fit.planner import Buffer, plan
from modelwave_controller.fit.profiles import Profile
from modelwave_controller.fit.refusals import reason
from modelwave_controller.fit.shapes import wrong_call, wrong_shape
from modelwave_controller.fit.variables import ResourceVariables

USE_VARIABLES = ("READ_VARIABLE", "ASSIGN_VARIABLE")
ONLINE = -1  # kOnlinePlannedBuffer: no offset planned offline


@dataclass(frozen=True, slots=True)
class Phases:
    """The arena that each phase needs, in bytes."""

    prepare: int
    planning: int
    final: int


@dataclass(slots=True)
class Scratch:
    """A scratch buffer that a node asked for."""

    subgraph: int
    operator: int
    size: int


class Replay:
    """Runs AllocateTensors for a model. `used` is arena_used_bytes() in bytes, of which `head`
    are the planned buffers; `derived` names the operators that were not measured on this ABI.
    Raises Refused or Unknown, with the operator in the text."""

    def __init__(
        self,
        model: Model,
        profile: Profile,
        tables: Tables,
        registered: frozenset[str] | None = None,
    ) -> None:
        self.model, self.profile, self.registered = model, profile, registered
        self.tables, self.abi = tables, tables.abi
        core = self.abi.core
        self.sizes = TensorSizes(
            core["TfLiteTensor"],
            core["TfLiteAffineQuantization"],
            core["TfLiteEvalTensor"],
            self.abi.pointer,
        )
        self.arena = Arena()
        self.scratches: list[Scratch] = []
        self.lifetimes = Lifetimes(model)
        self.buffers: list[Buffer] = []
        self.variables = ResourceVariables(model)

        self._create()
        self._start_model_allocation()
        chosen = self._find_kernels()
        self.derived = sorted(self._derived(chosen))
        self._parse_options(chosen)
        self._init(chosen)
        self._prepare(chosen)
        prepare, self.arena.need = self.arena.need, 0
        self._plan()
        planning, self.arena.need = self.arena.need, 0
        self.head = plan(self.buffers)
        self._finish()
        self.phases = Phases(prepare, planning, self.arena.need)
        self.used = self.arena.head + self.arena.tail
        self.need = align(max(prepare, planning, self.arena.need))

    def _create(self) -> None:
        """MicroAllocator::Create."""
        for name in ("SingleArenaBufferAllocator", "GreedyMemoryPlanner", "MicroAllocator"):
            self.arena.persistent(*self.abi.core[name])
        self._create_variables()

    def _create_variables(self) -> None:
        """MicroResourceVariables::Create, for just as many variables as the model has."""
        if self.model.variables:
            for name, count in (
                ("MicroResourceVariables", 1),
                ("MicroResourceVariable", self.model.variables),
            ):
                size, _ = self.abi.core[name]
                self.arena.persistent(size * count)

    def _start_model_allocation(self) -> None:
        """MicroAllocator::StartModelAllocation."""
        self.arena.persistent(*self.abi.core["MicroBuiltinDataAllocator"])
        self._resize_scratch_requests()
        graphs = self.model.subgraphs
        self._array("SubgraphAllocations", len(graphs))
        for graph in graphs:
            self._array("TfLiteEvalTensor", len(graph.tensors))
        for graph in graphs:
            self._array("NodeAndRegistration", len(graph.operators))

    def _find_kernels(self) -> list[Kernel]:
        """Returns the kernel of each operator of the model. All are looked up before the first
        is prepared, as in TFLM, so a missing kernel is reported first."""
        unknown = [operator for operator in self.model.operators if self._is_unmeasured(operator)]
        if unknown:
            names = ", ".join(sorted({operator.name for operator in unknown}))
            raise Unknown(f"{names}: its memory was never measured")
        return [self._kernel(operator) for operator in self.model.operators]

    def _derived(self, chosen: list[Kernel]) -> set[str]:
        """Returns the operators whose kernels were not measured on this ABI."""
        return {
            operator.name
            for operator, kernel in zip(self.model.operators, chosen, strict=True)
            if kernel.measured and not self.abi.name.startswith(kernel.measured)
        }

    def _is_unmeasured(self, operator: Operator) -> bool:
        return self.tables.unmeasured.has(operator.name, operator.custom)

    def _kernel(self, operator: Operator) -> Kernel:
        kernel = self.tables.kernels.get(operator.name)
        if kernel is None or kernel.custom != operator.custom:
            raise ModelRefused(f"{_label(operator)}: tflite-micro has no kernel for it")
        if self.registered is not None and operator.name not in self.registered:
            raise ModelRefused(f"{_label(operator)}: not registered in the firmware")
        return kernel

    def _parse_options(self, chosen: list[Kernel]) -> None:
        """MicroInterpreter::PrepareNodeAndRegistrationDataFromFlatbuffer."""
        for kernel in chosen:
            if kernel.params:
                self.arena.persistent(*self.abi.params[kernel.params])

    def _init(self, chosen: list[Kernel]) -> None:
        """MicroInterpreterGraph::InitSubgraphs."""
        for operator, kernel in zip(self.model.operators, chosen, strict=True):
            if kernel.op_data:
                self.arena.persistent(kernel.op_data)
            if kernel.init:
                with _named(operator):
                    kernel.init(self._node(operator))

    def _prepare(self, chosen: list[Kernel]) -> None:
        """MicroInterpreterGraph::PrepareSubgraphs."""
        rest = iter(chosen)
        for number, graph in enumerate(self.model.subgraphs):
            for operator in graph.operators:
                node = self._node(operator)
                with _named(operator):
                    self._prepare_node(node, next(rest))
                self.scratches += [Scratch(number, operator.index, size) for size in node.scratches]
                self._resize_scratch_requests()
        for operator in self.model.operators:
            if operator.name in USE_VARIABLES:
                with _named(operator):
                    self.variables.check(operator)

    def _node(self, operator: Operator) -> Node:
        return Node(operator, self.arena, self.sizes, self.variables, self.profile.dsp)

    def _prepare_node(self, node: Node, kernel: Kernel) -> None:
        operator = node.operator
        _check_readable(operator)
        data = operator.inputs[kernel.data] if kernel.data < len(operator.inputs) else None
        if kernel.takes and data is not None and data.kind not in kernel.takes:
            raise ModelRefused(f"it takes {', '.join(sorted(kernel.takes))}, not {data.kind}")
        for tensor in operator.outputs:
            if not tensor.elements:
                raise ModelRefused(f"its output {tensor.index} is empty: no dynamic tensors")
        if wrong := reason(operator, self.profile):
            raise ModelRefused(wrong)
        if kernel.signature:
            kernel.signature.check(operator)
        if wrong := wrong_shape(operator) or wrong_call(operator, self.model.subgraphs):
            raise ModelRefused(wrong)
        kernel.prepare(node)

    def _resize_scratch_requests(self) -> None:
        """Makes the head hold the requests so far, and room for all that one node may make."""
        size, _ = self.abi.core["ScratchBufferRequest"]
        self.arena.release_temporaries()
        self.arena.resize_head(size * (len(self.scratches) + MAX_SCRATCH_REQUESTS))

    def _plan(self) -> None:
        """MicroAllocator::FinishModelAllocation up to the run of the planner."""
        if self.scratches:
            self._array("ScratchBufferHandle", len(self.scratches))
        graphs = self.model.subgraphs
        pointer = self.abi.pointer
        self.arena.temporary(pointer * len(graphs), pointer)  # the subgraphs' first tensors
        size, alignment = self.abi.core["AllocationInfo"]
        tensors = sum(len(graph.tensors) for graph in graphs)
        self.arena.temporary(size * (tensors + len(self.scratches)), alignment)
        for graph in graphs:
            for tensor in graph.tensors:
                if tensor.variable and self._offset(0, tensor) == ONLINE:
                    self.arena.persistent(tensor.bytes)
        self._check_intermediates()
        self.buffers = self._planned_tensors() + self._planned_scratches()
        # The planner takes all that is left between temporaries and tail, both rounded.
        lists = self.abi.planner_bytes_per_buffer * len(self.buffers)
        self.arena.need = max(
            self.arena.need, align(self.arena.temporaries) + lists + align(self.arena.tail)
        )

    def _check_intermediates(self) -> None:
        for operator in self.model.operators:
            for tensor in operator.intermediates:
                if tensor.bytes:
                    raise ModelRefused(f"{_label(operator)}: an intermediate tensor is not empty")

    def _planned_tensors(self) -> list[Buffer]:
        buffers, first = [], 0
        for graph, lives in zip(self.model.subgraphs, self.lifetimes.tensors, strict=True):
            for tensor, life in zip(graph.tensors, lives, strict=True):
                offset = self._offset(first, tensor)
                if self._is_planned(tensor, offset):
                    buffer = Buffer(tensor.name, align(tensor.bytes), life.first, life.last)
                    if offset != ONLINE:
                        buffer.offset, buffer.fixed = offset, True
                    buffers.append(buffer)
            first += len(graph.tensors)
        return buffers

    def _is_planned(self, tensor: Tensor, offset: int) -> bool:
        """Returns whether a tensor is planned: constants stay in the file, and variables are
        allocated for good unless they were planned offline."""
        if tensor.variable:
            return offset != ONLINE
        return not tensor.constant and not self.variables.is_handle(tensor) and tensor.bytes > 0

    def _planned_scratches(self) -> list[Buffer]:
        buffers = []
        for scratch in self.scratches:
            life = self.lifetimes.operators[scratch.subgraph][scratch.operator]
            operator = self.model.subgraphs[scratch.subgraph].operators[scratch.operator]
            if life.first == NEVER:
                raise ModelRefused(
                    f"{_label(operator)}: it needs scratch memory, but nothing runs it"
                )
            label = f"scratch of {_label(operator)}"
            buffers.append(Buffer(label, align(scratch.size), life.first, life.last))
        return buffers

    def _offset(self, first: int, tensor: Tensor) -> int:
        plan = self.model.offline_plan
        return ONLINE if plan is None else plan[first + tensor.index]

    def _finish(self) -> None:
        """Gives the head to the planned buffers, then allocates the TfLiteTensors of the inputs
        and outputs."""
        self.arena.release_temporaries()
        self.arena.resize_head(self.head)
        main = self.model.subgraphs[0]
        for tensors in (main.inputs, main.outputs):
            self.arena.persistent(self.abi.pointer * len(tensors))
            for tensor in tensors:
                for size, alignment in tensor_parts(tensor, self.sizes):
                    self.arena.persistent(size, alignment)

    def _array(self, name: str, count: int) -> None:
        size, alignment = self.abi.core[name]
        self.arena.persistent(size * count, alignment)


def _check_readable(operator: Operator) -> None:
    """Raises ModelRefused if TFLM cannot read the operator's options or constants."""
    if operator.unreadable:
        raise ModelRefused(operator.unreadable)
    for tensor in operator.inputs:
        if tensor and tensor.unreadable:
            raise ModelRefused(f"tensor {tensor.index} {tensor.name}: {tensor.unreadable}")


@contextmanager
def _named(operator: Operator) -> Iterator[None]:
    """Puts the operator's name before the reason of a refusal."""
    try:
        yield
    except ModelRefused as refused:
        raise ModelRefused(f"{_label(operator)}: {refused}") from None


def _label(operator: Operator) -> str:
    return f"operator {operator.index} {operator.name}"
