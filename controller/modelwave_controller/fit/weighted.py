"""The arena allocations of the reference kernels with weights in Prepare
(tensorflow/lite/micro/kernels/*_common.cc). cmsis_nn.py builds on them."""

from collections.abc import Callable

from modelwave_controller.fit.errors import ModelRefused
from modelwave_controller.fit.model import Tensor
from modelwave_controller.fit.node import Node
from modelwave_controller.fit.tflite_schema import ELEMENT_BYTES

SAME_PADDING = 0  # enum Padding
MATMUL_QUANTIZATION_BYTES = 28  # OpDataBatchMatmul::quantization


def conv(node: Node) -> None:
    node.output(0)
    node.input(0)
    weights = node.input(1)
    per_channel(node, weights.dim(0))
    convolution_data(node)
    if weights.kind == "INT4":
        node.scratch(weights.elements)  # unpacked to int8


def depthwise_conv(node: Node) -> None:
    node.output(0)
    node.input(0)
    weights = node.input(1)
    per_channel(node, weights.dim(3))
    if weights.kind == "INT4":
        node.scratch(weights.elements)
    convolution_data(node)


def per_channel(node: Node, channels: int) -> None:
    """Allocates a multiplier and a shift, int32 each, for every output channel."""
    node.persistent(4 * channels)
    node.persistent(4 * channels)


def convolution_data(node: Node) -> None:
    """CalculateOpDataConv and the like, which allocate the temporary tensors again."""
    node.input(0)
    node.input(1)
    node.optional_input(2)
    node.output(0)


def padding_before(node: Node, data: Tensor, weights: Tensor) -> tuple[int, int]:
    """Returns the padding (above, left) of a convolution's input as ComputePaddingHeightWidth
    computes it (kernels/padding.h)."""
    return (
        _padding_along(node, "h", data.dim(1), weights.dim(1)),
        _padding_along(node, "w", data.dim(2), weights.dim(2)),
    )


def _padding_along(node: Node, axis: str, size: int, taps: int) -> int:
    stride, dilation = node.option(f"stride_{axis}"), node.option(f"dilation_{axis}")
    if stride < 1:
        raise ModelRefused(f"its stride is {stride}")
    if node.option("padding") != SAME_PADDING:
        return 0
    outputs = -(-size // stride)
    return max((outputs - 1) * stride + (taps - 1) * dilation + 1 - size, 0) // 2


def transpose_conv(node: Node) -> None:
    output = node.output(0)
    data = node.input(2)
    per_channel(node, node.input(1).dim(0))
    if data.kind == "INT8":
        node.scratch(4 * output.elements)  # sums in int32
    elif data.kind == "INT16":
        node.scratch(8 * output.elements)  # sums in int64
    transpose_conv_data(node, data)


def transpose_conv_data(node: Node, data: Tensor) -> None:
    if data.kind == "FLOAT32":
        return
    node.input(2)
    node.input(1)
    bias = node.optional_input(3)
    node.output(0)
    if data.kind == "INT16" and bias is not None and bias.kind == "INT16":
        node.scratch(8 * bias.elements)  # the biases as int64


def fully_connected(node: Node) -> None:
    weights = fully_connected_data(node)
    if weights.kind == "INT4":
        node.scratch(weights.elements)


def fully_connected_data(node: Node) -> Tensor:
    data = node.input(0)
    weights = node.input(1)
    node.optional_input(2)
    node.output(0)
    if data.kind != "FLOAT32" and weights.channels > 1:
        per_channel(node, weights.channels)
    return weights


def batch_matmul(node: Node) -> None:
    left, right = node.input(0), node.input(1)
    output = node.output(0)
    if left.kind != "FLOAT32":
        node.persistent(MATMUL_QUANTIZATION_BYTES)
    transposed_operands(node, left, right)
    node.persistent_dims(len(output.shape))


def transposed_operands(node: Node, left: Tensor, right: Tensor) -> None:
    """Allocates the transposed operands. The kernel multiplies rows by rows, so it transposes
    the right operand unless adj_y is set, and the left one if adj_x is set."""
    for tensor, turned in ((left, node.option("adj_x")), (right, not node.option("adj_y"))):
        if turned:
            node.persistent(node.sizes.eval_tensor[0])
            node.persistent_dims(len(tensor.shape))
            node.persistent(tensor.bytes)


def svdf(node: Node) -> None:
    data, features = node.input(0), node.input(1)
    node.input(2)
    node.optional_input(3)
    node.input(4)
    node.output(0)
    batches, filters, rank = data.dim(0), features.dim(0), node.option("rank")
    node.scratch(4 * batches * filters)
    if data.kind == "INT8":
        node.scratch(4 * batches * (filters // rank))


def lstm(node: Node) -> None:
    _, state_bytes = lstm_state(node)
    for _ in range(4):  # one for each gate
        node.scratch(state_bytes)


def lstm_state(node: Node) -> tuple[Tensor, int]:
    """Looks at all 24 inputs, most of which are optional. Returns the hidden state, and the
    bytes of a cell state for all batches."""
    tensors = [node.optional_input(index) for index in range(24)]
    node.output(0)
    data, hidden, cell = tensors[0], tensors[18], tensors[19]
    if data is None or hidden is None or cell is None:
        raise ModelRefused("its data or a state is missing")
    batches = data.dim(1) if node.option("time_major") else data.dim(0)
    return hidden, batches * hidden.dim(1) * ELEMENT_BYTES[cell.kind]


FUNCTIONS: dict[str, Callable[[Node], None]] = {
    function.__name__: function
    for function in (
        batch_matmul,
        conv,
        depthwise_conv,
        fully_connected,
        lstm,
        svdf,
        transpose_conv,
    )
}
