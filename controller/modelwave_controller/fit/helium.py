"""The Prepare functions of CMSIS-NN's kernels on cores with Helium (MVE: Cortex-M55, M85) where
they differ from those in cmsis_nn.py: other scratch buffers, and sums of the weights.

Nothing of this was measured. It follows from CMSIS-NN 4ab83cc3 and from tflite-micro's kernels, as
GCC compiles them with KERNELS_OPTIMIZED_FOR_SPEED, tflite-micro's default. The sizes of the buffers
were compared with the functions …_mve of Source/*/arm_*_get_buffer_sizes_*.c, compiled for a host,
on 5,000 random layers."""

from collections.abc import Callable

from modelwave_controller.fit.cmsis_nn import (
    cmsis_batch_matmul,
    cmsis_conv_data,
    cmsis_depthwise_data,
    cmsis_fully_connected,
    is_1x1,
    is_plain_depthwise,
    runs_as_convolution,
    transpose_conv_scratch,
)
from modelwave_controller.fit.errors import Unknown
from modelwave_controller.fit.model import Tensor
from modelwave_controller.fit.node import Node
from modelwave_controller.fit.weighted import (
    padding_before,
    per_channel,
    svdf,
    transpose_conv_data,
)

COLUMNS = 4  # im2col buffers at a time
LANE_BYTES = 16  # of a Q register
CHANNELS_AT_A_TIME = 124  # CH_IN_BLOCK_MVE
REVERSE_CONVOLUTION_FROM = 17  # input channels: REVERSE_TCOL_EFFICIENT_THRESHOLD is 16


def columns_bytes(elements: int, each: int = 1) -> int:
    """Returns the bytes of the im2col buffers: whole registers for each."""
    return COLUMNS * -(-elements * each // LANE_BYTES) * LANE_BYTES


def helium_conv(node: Node) -> None:
    data, weights = cmsis_conv_data(node)
    elements = weights.dim(1) * weights.dim(2) * data.dim(3)
    if data.kind == "INT16":
        node.scratch(columns_bytes(elements, each=2))
    elif data.kind == "INT8" and not is_1x1(node, data, weights):
        size = _one_by_n(node, data, weights) if _is_1xn(node, data, weights) else 0
        node.scratch(size or columns_bytes(elements))


def _is_1xn(node: Node, data: Tensor, weights: Tensor) -> bool:
    """arm_nn_is_convolve_1_x_n: a convolution over a single row."""
    return (
        (data.dim(1), weights.dim(1), node.option("dilation_w")) == (1, 1, 1)
        and node.option("stride_w") * data.dim(3) % 4 == 0
        and data.dim(3) == weights.dim(3)
    )


def _one_by_n(node: Node, data: Tensor, weights: Tensor) -> int:
    """Returns the bytes that arm_convolve_1_x_n_s8 takes for the padded ends of the row; 0 if it
    does not take the convolution."""
    stride, taps, channels = node.option("stride_w"), weights.dim(2), data.dim(3)
    outputs = node.operator.outputs[0].dim(2)
    _, left = padding_before(node, data, weights)
    uneven = _remainder((outputs - 1) * stride + taps - data.dim(2), 2)
    before = max(1, (left + stride - 1) // stride) if left else 0
    after = max(1, (left + uneven + stride - 1) // stride) if left + uneven else 0
    if after + max(outputs - before - after, 0) + before != outputs:
        return 0
    at_right = after * channels if uneven else left * channels
    return max(taps * channels + left * channels, (taps - 1) * channels + at_right)


def _remainder(number: int, divisor: int) -> int:
    """Returns the remainder as C computes it, with the sign of the number."""
    return abs(number) % divisor * (1 if number >= 0 else -1)


def helium_depthwise_conv(node: Node) -> None:
    data, weights, output = cmsis_depthwise_data(node)
    if data.kind != "INT8":
        return
    taps = weights.dim(1) * weights.dim(2)
    if weights.kind == "INT8" and data.dim(3) == 1 and output.dim(3) > 1:
        # It runs as a convolution of one channel, with its weights in another order.
        node.scratch(_one_channel_columns(node, data, weights) + output.dim(3) * taps)
    elif is_plain_depthwise(node, data, output):
        node.scratch(COLUMNS * CHANNELS_AT_A_TIME * taps)


def _one_channel_columns(node: Node, data: Tensor, weights: Tensor) -> int:
    dilation = (node.option("dilation_h"), node.option("dilation_w"))
    window, padding = (weights.dim(1), weights.dim(2)), padding_before(node, data, weights)
    if (window, dilation, padding) == ((1, 1), (1, 1), (0, 0)):
        return 0
    if (data.dim(1), window[0], dilation[1]) == (1, 1, 1):
        # The kernel asks for a size without setting the stride that decides it.
        raise Unknown("DEPTHWISE_CONV_2D of one channel over one row: no figure for CMSIS-NN")
    return columns_bytes(window[0] * window[1])


def helium_fully_connected(node: Node) -> None:
    cmsis_fully_connected(node)
    weights, output = node.operator.inputs[1], node.operator.outputs[0]
    bias = node.operator.inputs[2] if len(node.operator.inputs) > 2 else None
    if weights is None or node.input_kind != "INT8" or weights.kind != "INT8":
        return
    if runs_as_convolution(weights, output):
        return
    sums = 4 * output.dim(-1)
    if weights.constant and (bias is None or bias.constant):
        node.persistent(sums)
    else:
        node.scratch(sums)


def helium_batch_matmul(node: Node) -> None:
    cmsis_batch_matmul(node)
    shape = node.operator.outputs[0].shape
    if node.input_kind == "INT8":
        node.scratch(4 * (shape[-1] if 2 <= len(shape) <= 4 else 1))  # FillVariableShape


def helium_svdf(node: Node) -> None:
    svdf(node)
    features = node.operator.inputs[1]
    if node.input_kind == "INT8" and features is not None:
        node.persistent(4 * features.dim(0))


def helium_average_pool(node: Node) -> None:
    for _ in range(2):
        node.input(0)
        node.output(0)


def helium_transpose_conv(node: Node) -> None:
    output = node.output(0)
    data, weights = node.input(2), node.input(1)
    per_channel(node, weights.dim(0))
    if data.kind == "INT8":
        size, reversed_weights = transpose_conv_scratch(node, data, weights, output)
        if reversed_weights:
            size = columns_bytes(weights.dim(1) * weights.dim(2) * data.dim(3))
        node.scratch(size)
        node.scratch(reversed_weights)
    elif data.kind == "INT16":
        node.scratch(8 * output.elements)  # sums in int64
    transpose_conv_data(node, data)


FUNCTIONS: dict[str, Callable[[Node], None]] = {
    function.__name__: function
    for function in (
        helium_average_pool,
        helium_batch_matmul,
        helium_conv,
        helium_depthwise_conv,
        helium_fully_connected,
        helium_svdf,
        helium_transpose_conv,
    )
}
