"""The arena allocations of tflite-micro's reference kernels in Prepare, one function for each
kernel (tensorflow/lite/micro/kernels/*.cc); kernels with weights are in weighted.py. Kernels
that only look at tensors have no function: their row in kernels.toml names the tensors.

The order of the calls matters: a temporary stays until its node is prepared, so the largest
need depends on what was allocated before."""

from collections.abc import Callable

from modelwave_controller.fit.errors import ModelRefused
from modelwave_controller.fit.model import Tensor
from modelwave_controller.fit.node import Node
from modelwave_controller.fit.tflite_schema import NO_VARIABLE

MAX_CONCATENATED = 10  # kMaxInputNum, concatenation.cc
SOFTMAX_TABLE_BYTES = 513 * 2  # LUTSize<int16_t>, for exp(x) and for 1 / (1 + x)
ADD_N_DATA_BYTES = 40  # OpData of add_n.cc
HANDLE_TYPES = ("RESOURCE", "INT32")  # of a resource variable


def concatenation(node: Node) -> None:
    node.input(0)
    node.output(0)
    inputs = len(node.operator.inputs)
    if inputs > MAX_CONCATENATED:
        raise ModelRefused(f"{inputs} inputs, {MAX_CONCATENATED} at most")
    for index in range(inputs):
        node.input(index)


def add_n(node: Node) -> None:
    data = node.input(0)
    node.output(0)
    busy = node.arena.busy
    for index in range(1, len(node.operator.inputs)):
        node.input(index)
    node.arena.busy = busy  # each is only compared with the first input, and not read again
    if data.kind == "INT8":
        node.persistent(ADD_N_DATA_BYTES)
    node.scratch(node.sizes.pointer * len(node.operator.inputs))


def cumsum(node: Node) -> None:
    data = node.input(0)
    node.input(1)
    node.output(0)
    if data.kind == "INT8":
        node.persistent(36)  # ArithmeticParams and shifts of the addition


def log_softmax(node: Node) -> None:
    data = node.input(0)
    node.output(0)
    if data.kind == "INT8":
        node.persistent(28 if node.sizes.pointer == 4 else 40)  # LogSoftmaxOpData: two size_t


def softmax(node: Node) -> None:
    data = node.input(0)
    node.output(0)
    if data.kind == "INT16":
        node.persistent(SOFTMAX_TABLE_BYTES)
        node.persistent(SOFTMAX_TABLE_BYTES)


def mean(node: Node) -> None:
    """MEAN and SUM."""
    data = node.input(0)
    output = node.output(0)
    axes = node.input(1)
    if data.kind in ("INT8", "INT16"):
        node.scratch(4 * output.elements)  # sums in int32
    reduction_scratch(node, data, axes)
    node.input(0)
    node.input(1)
    if data.kind == "INT8":
        node.output(0)


def reduce_max(node: Node) -> None:
    """REDUCE_MAX and REDUCE_MIN."""
    data = node.input(0)
    node.input(1)
    if data.kind == "INT8":
        node.output(0)
    node.input(0)
    node.output(0)
    reduction_scratch(node, data, node.input(1))


def reduce_all(node: Node) -> None:
    node.input(0)
    node.output(0)
    node.input(1)
    data = node.input(0)
    reduction_scratch(node, data, node.input(1))


def reduction_scratch(node: Node, data: Tensor, axes: Tensor) -> None:
    node.scratch(4 * len(data.shape))  # an index into the input
    node.scratch(4 * axes.elements)  # the axes without repeats


def mirror_pad(node: Node) -> None:
    data = node.input(0)
    node.input(1)
    node.output(0)
    node.scratch(4 * len(data.shape))  # strides of the input
    node.scratch(4 * len(data.shape))  # strides of the output


def gather(node: Node) -> None:
    """GATHER and GATHER_ND, which write their output's shape again."""
    node.input(0)
    node.input(1)
    node.persistent_dims(len(node.output(0).shape))


def embedding_lookup(node: Node) -> None:
    gather(node)
    node.persistent(2 * node.sizes.pointer)  # OpData: a float and a size_t


def resized_output(node: Node) -> None:
    """DEPTH_TO_SPACE and SPACE_TO_DEPTH."""
    node.input(0)
    node.persistent_dims(len(node.output(0).shape))


def l2_pool(node: Node) -> None:
    output = node.output(0)
    node.input(0)
    node.persistent_dims(len(output.shape))


def var_handle(node: Node) -> None:
    if not node.operator.outputs:
        raise ModelRefused("output 0 is missing")
    if node.option("variable") == NO_VARIABLE:
        raise ModelRefused("it names no variable")
    node.variables.name(node.operator.outputs[0], node.option("variable"))


def read_variable(node: Node) -> None:
    _handle(node, inputs=1, outputs=1)
    node.input(0)


def assign_variable(node: Node) -> None:
    handle = _handle(node, inputs=2, outputs=0)
    size = node.variables.allocate(handle, node.input(1))
    if size is not None:
        node.persistent(size)


def call_once(node: Node) -> None:
    _count(node, 0, 0)


def _handle(node: Node, inputs: int, outputs: int) -> Tensor:
    _count(node, inputs, outputs)
    handle = node.operator.inputs[0]
    if handle is None:
        raise ModelRefused("input 0 is missing")
    if handle.kind not in HANDLE_TYPES or handle.elements != 1 or handle.constant:
        raise ModelRefused(f"tensor {handle.index} is not the handle of a variable")
    return handle


def _count(node: Node, inputs: int, outputs: int) -> None:
    operator = node.operator
    if (len(operator.inputs), len(operator.outputs)) != (inputs, outputs):
        raise ModelRefused(
            f"it has {len(operator.inputs)} inputs and {len(operator.outputs)} outputs, not "
            f"{inputs} and {outputs}"
        )


FUNCTIONS: dict[str, Callable[[Node], None]] = {
    function.__name__: function
    for function in (
        add_n,
        assign_variable,
        call_once,
        concatenation,
        cumsum,
        embedding_lookup,
        gather,
        l2_pool,
        log_softmax,
        mean,
        mirror_pad,
        read_variable,
        reduce_all,
        reduce_max,
        resized_output,
        softmax,
        var_handle,
    )
}
