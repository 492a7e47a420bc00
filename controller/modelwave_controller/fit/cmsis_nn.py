"""The Prepare functions of CMSIS-NN's kernels where they differ from the reference kernels
(tensorflow/lite/micro/kernels/cmsis_nn/*.cc), and the scratch memory that CMSIS-NN asks for
(Source/*/arm_*_get_buffer_sizes_*.c) on cores with the DSP instructions (Cortex-M4, M7, M33)
and without (M0+, M3). helium.py has what differs on cores with Helium."""

from collections.abc import Callable

from modelwave_controller.fit.arena import align
from modelwave_controller.fit.model import Tensor
from modelwave_controller.fit.node import Node
from modelwave_controller.fit.weighted import (
    MATMUL_QUANTIZATION_BYTES,
    convolution_data,
    fully_connected_data,
    lstm_state,
    padding_before,
    per_channel,
    transpose_conv_data,
    transposed_operands,
)

REVERSE_CONVOLUTION_FROM = 17  # input channels: REVERSE_TCOL_EFFICIENT_THRESHOLD is 16


def cmsis_conv_data(node: Node) -> tuple[Tensor, Tensor]:
    """Allocates what a convolution needs beside its scratch buffer. Returns data and weights."""
    # The kernel looks for the bias among the outputs and does not find it, so there is no
    # temporary for it.
    data, weights = node.input(0), node.input(1)
    node.output(0)
    if data.kind != "FLOAT32":
        per_channel(node, weights.dim(0))
    convolution_data(node)
    return data, weights


def cmsis_conv(node: Node) -> None:
    data, weights = cmsis_conv_data(node)
    columns = weights.dim(1) * weights.dim(2) * data.dim(3)
    if data.kind == "INT16":
        node.scratch(2 * 2 * columns)
    elif data.kind == "INT8" and not is_1x1(node, data, weights):
        node.scratch(2 * 2 * align(columns, 4))  # two columns of int16


def is_1x1(node: Node, data: Tensor, weights: Tensor) -> bool:
    """arm_nn_is_convolve_1x1: such a convolution is a matrix product and needs no columns."""
    return (
        (weights.dim(1), weights.dim(2)) == (1, 1)
        and (node.option("dilation_h"), node.option("dilation_w")) == (1, 1)
        and padding_before(node, data, weights) == (0, 0)
        and data.dim(3) == weights.dim(3)
    )


def cmsis_depthwise_data(node: Node) -> tuple[Tensor, Tensor, Tensor]:
    """Allocates what a depthwise convolution needs beside its scratch buffer. Returns data,
    weights and output."""
    data, weights = node.input(0), node.input(1)
    output = node.output(0)
    if data.kind != "FLOAT32":
        per_channel(node, weights.dim(3))
    convolution_data(node)
    return data, weights, output


def cmsis_depthwise_conv(node: Node) -> None:
    data, weights, output = cmsis_depthwise_data(node)
    if data.kind != "INT8" or not is_plain_depthwise(node, data, output):
        return
    window = 2 * data.dim(3) * weights.dim(1) * weights.dim(2)  # of int16, for all channels
    if weights.kind == "INT4" or (node.dsp and not _is_3x3(node, data, weights)):
        node.scratch(window)


def is_plain_depthwise(node: Node, data: Tensor, output: Tensor) -> bool:
    return (
        data.dim(0) == 1
        and data.dim(3) == output.dim(3)
        and (node.option("dilation_h"), node.option("dilation_w")) == (1, 1)
    )


def _is_3x3(node: Node, data: Tensor, weights: Tensor) -> bool:
    """arm_depthwise_conv_3x3_s8 takes no scratch."""
    above, left = padding_before(node, data, weights)
    return (weights.dim(1), weights.dim(2)) == (3, 3) and above <= 1 and left <= 1


def cmsis_fully_connected(node: Node) -> None:
    weights = fully_connected_data(node)
    output = node.operator.outputs[0]
    int8 = node.input_kind == weights.kind == "INT8"
    if int8 and weights.channels <= 1 and runs_as_convolution(weights, output):
        # The multipliers and shifts of a 1×1 convolution are per channel.
        node.scratch(2 * 4 * output.dim(-1))


def runs_as_convolution(weights: Tensor, output: Tensor) -> bool:
    return len(output.shape) > 2 and weights.dim(-1) % 4 == 0


def cmsis_average_pool(node: Node) -> None:
    node.input(0)
    node.output(0)
    data = node.input(0)
    node.output(0)
    if node.dsp and data.kind in ("INT8", "INT16"):
        node.scratch(4 * data.dim(3))  # sums in int32


def cmsis_batch_matmul(node: Node) -> None:
    left, right = node.input(0), node.input(1)
    output = node.output(0)
    transposed_operands(node, left, right)
    node.persistent_dims(len(output.shape))
    if left.kind != "FLOAT32":
        node.persistent(MATMUL_QUANTIZATION_BYTES)


def cmsis_transpose_conv(node: Node) -> None:
    output = node.output(0)
    data, weights = node.input(2), node.input(1)
    per_channel(node, weights.dim(0))
    if data.kind == "INT8":
        for size in transpose_conv_scratch(node, data, weights, output):
            node.scratch(size)
    elif data.kind == "INT16":
        node.scratch(8 * output.elements)  # sums in int64
    transpose_conv_data(node, data)


def transpose_conv_scratch(
    node: Node, data: Tensor, weights: Tensor, output: Tensor
) -> tuple[int, int]:
    """arm_transpose_conv_s8_get_buffer_size, and the size of the buffer for the reversed
    weights. The second buffer is requested even if its size is 0."""
    rows, columns, channels = weights.dim(1), weights.dim(2), data.dim(3)
    across, down = node.option("stride_w"), node.option("stride_h")
    if across <= 2 and down <= 2 and channels >= REVERSE_CONVOLUTION_FROM:
        taps = rows * columns * channels
        return 2 * 2 * align(taps, 4), taps * weights.dim(0)
    # CMSIS-NN compares the width with the vertical stride here, so this does the same.
    line = ((data.dim(2) - 1) * across + max(columns, down)) * output.dim(3)
    return 4 * line * max(rows, down), 0


def cmsis_lstm(node: Node) -> None:
    hidden, state_bytes = lstm_state(node)
    cell = node.operator.inputs[19]
    integer = node.input_kind in ("INT8", "INT16") and cell is not None and cell.kind == "INT16"
    if integer:
        bias_bytes = 4 if node.input_kind == "INT8" else 8
        for _ in range(8):  # sums of the weights: four gates, for the data and the state
            node.persistent(bias_bytes * hidden.dim(1))
    for _ in range(3 if integer else 4):
        node.scratch(state_bytes)


FUNCTIONS: dict[str, Callable[[Node], None]] = {
    function.__name__: function
    for function in (
        cmsis_average_pool,
        cmsis_batch_matmul,
        cmsis_conv,
        cmsis_depthwise_conv,
        cmsis_fully_connected,
        cmsis_lstm,
        cmsis_transpose_conv,
    )
}
