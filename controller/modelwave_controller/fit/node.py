"""The interface of a kernel's Prepare: its operator's tensors, and the arena they take."""

from dataclasses import dataclass, field

from modelwave_controller.fit.arena import Arena, align
from modelwave_controller.fit.errors import ModelRefused
from modelwave_controller.fit.flexbuffer import FlexMap, read_flex_map
from modelwave_controller.fit.model import Operator, Tensor
from modelwave_controller.fit.variables import ResourceVariables

MAX_SCRATCH_REQUESTS = 12  # of one node: kMaxScratchBuffersPerOp, micro_allocator.cc


@dataclass(frozen=True, slots=True)
class TensorSizes:
    """(size, alignment) of the parts of a temporary or persistent TfLiteTensor."""

    tensor: tuple[int, int]
    quantization: tuple[int, int]
    eval_tensor: tuple[int, int]
    pointer: int


@dataclass(slots=True)
class Node:
    """One operator during Prepare. `dsp`: the core has Arm's DSP instructions, and CMSIS-NN
    uses them. `variables` are the model's."""

    operator: Operator
    arena: Arena
    sizes: TensorSizes
    variables: ResourceVariables
    dsp: bool
    scratches: list[int] = field(default_factory=list)

    def input(self, index: int) -> Tensor:
        """AllocateTempInputTensor. Raises Refused if the input is missing."""
        tensor = self.optional_input(index)
        if tensor is None:
            raise ModelRefused(f"input {index} is missing")
        return tensor

    def optional_input(self, index: int) -> Tensor | None:
        inputs = self.operator.inputs
        tensor = inputs[index] if index < len(inputs) else None
        if tensor is not None:
            self._temporary(tensor)
        return tensor

    def output(self, index: int) -> Tensor:
        """AllocateTempOutputTensor. Raises Refused if the output is missing."""
        if index >= len(self.operator.outputs):
            raise ModelRefused(f"output {index} is missing")
        tensor = self.operator.outputs[index]
        self._temporary(tensor)
        return tensor

    def persistent(self, size: int) -> None:
        """context->AllocatePersistentBuffer."""
        self.arena.persistent(size)

    def persistent_each(self, count: int, size: int) -> None:
        """Allocates `count` buffers of that size, one after the other."""
        if count:
            self.persistent(size)
            self.persistent(align(size) * (count - 1))  # the end is aligned by now

    def persistent_dims(self, dimensions: int) -> None:
        """Allocates a TfLiteIntArray: its length, then each dimension."""
        self.persistent(4 + 4 * dimensions)

    def scratch(self, size: int) -> None:
        """context->RequestScratchBufferInArena; the buffer is planned later, with the tensors."""
        self.scratches.append(size)
        if len(self.scratches) > MAX_SCRATCH_REQUESTS:
            raise ModelRefused(f"it asks for more than {MAX_SCRATCH_REQUESTS} scratch buffers")

    @property
    def input_kind(self) -> str | None:
        """The type of input 0."""
        first = self.operator.inputs[0] if self.operator.inputs else None
        return first.kind if first else None

    @property
    def flex(self) -> FlexMap:
        """The options of a custom operator. Raises ModelRefused if they cannot be read."""
        return read_flex_map(self.operator.custom_options)

    def option(self, name: str) -> int:
        return self.operator.options[name]

    def _temporary(self, tensor: Tensor) -> None:
        parts = tensor_parts(tensor, self.sizes)
        for size, alignment in parts:
            self.arena.temporary(size, alignment)
        if tensor.channels:
            # Kernels read the pointers in the quantisation structure again, but neither its
            # axis (the last field, padded to a pointer's size) nor the zero points.
            zero_points, _ = parts[-1]
            self.arena.idle(self.sizes.pointer + zero_points)


def tensor_parts(tensor: Tensor, sizes: TensorSizes) -> list[tuple[int, int]]:
    """Returns the allocations of one TfLiteTensor: the structure itself and, if it is
    quantised, its TfLiteAffineQuantization and its zero points."""
    if not tensor.channels:
        return [sizes.tensor]
    return [sizes.tensor, sizes.quantization, (4 + 4 * tensor.channels, 4)]


class Look:
    """A Prepare that only looks at tensors, in an order such as "in0 in?2 out0"."""

    def __init__(self, order: str) -> None:
        self.steps = [(word.startswith("in"), "?" in word, int(word[-1])) for word in order.split()]

    def __call__(self, node: Node) -> None:
        for is_input, optional, index in self.steps:
            if not is_input:
                node.output(index)
            elif optional:
                node.optional_input(index)
            else:
                node.input(index)
