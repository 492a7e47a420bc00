"""The Prepare functions of Espressif's kernels where they differ from the reference kernels
(tensorflow/lite/micro/kernels/esp_nn of esp-tflite-micro), and the scratch memory that esp-nn asks
for (src/*/*.c): with its generic code (ESP32, ESP32-C3 and others) and on the ESP32-S3.

Nothing of this was measured. It follows from esp-tflite-micro 99f49e1 and esp-nn d45b843 (1.2.3).
The sizes on the S3 were compared with esp-nn's functions, compiled for a host, on 2,700 random
layers."""

from collections.abc import Callable

from modelwave_controller.fit.arena import align
from modelwave_controller.fit.errors import Unknown
from modelwave_controller.fit.model import Tensor
from modelwave_controller.fit.node import Node
from modelwave_controller.fit.reference import softmax
from modelwave_controller.fit.weighted import conv, depthwise_conv, padding_before

WHOLE_INPUT_BYTES = 40 * 1024  # what the S3's 3×3 kernel pads at once
WHOLE_INT16_BYTES = 48 * 1024  # what its other kernels widen to int16 at once


def esp_softmax(node: Node) -> None:
    softmax(node)
    data, output = node.operator.inputs[0], node.operator.outputs[0]
    if data is None or (data.kind, output.kind) != ("INT8", "INT8"):
        return
    if len(data.shape) < 2:  # the kernel reads a width behind the shape
        raise Unknown("SOFTMAX of one dimension: no figure for esp-nn")
    if data.dim(1):
        node.scratch(4 * data.dim(1))


def s3_conv(node: Node) -> None:
    conv(node)
    data, weights = node.operator.inputs[:2]
    if data and weights and data.kind == "INT8":
        node.scratch(_conv_bytes(node, data, weights, node.operator.outputs[0]))


def _conv_bytes(node: Node, data: Tensor, weights: Tensor, output: Tensor) -> int:
    """esp_nn_get_conv_scratch_size_esp32s3."""
    above, left = padding_before(node, data, weights)
    down, across = node.option("stride_h"), node.option("stride_w")
    rows, columns, channels = data.dim(1), data.dim(2), data.dim(3)
    taps_high, taps_wide, filters = weights.dim(1), weights.dim(2), output.dim(3)
    if (taps_high, taps_wide, above, left, down, across) == (1, 1, 0, 0, 1, 1):
        wide = align(channels, 8)
        transposed = 2 * 8 * wide if rows * columns >= 8 else 0
        return rows * columns * wide * bool(channels % 8) + wide * filters + transposed + 64
    row = taps_wide * channels
    window = align(taps_high * row)
    if row < 16 <= taps_high * row:
        return filters * 4 + 16 + filters * window + 16 + window + 64
    padded = (columns + 2 * left) * (rows + 2 * above) * channels if above or left else 0
    right = max(0, output.dim(2) * across + taps_wide - 1 - columns)
    below = max(0, output.dim(1) * down + taps_high - 1 - rows)
    edges = (columns + right) * (rows + below) * channels if right or below else 0
    aligned = taps_wide * taps_high * align(channels) * filters + align(row) * taps_high * filters
    return padded + aligned + edges + 64 + 4 * filters


def s3_depthwise_conv(node: Node) -> None:
    depthwise_conv(node)
    data, weights = node.operator.inputs[:2]
    if data and weights and data.kind == "INT8":
        node.scratch(_depthwise_bytes(node, data, weights, node.operator.outputs[0]))


def _depthwise_bytes(node: Node, data: Tensor, weights: Tensor, output: Tensor) -> int:
    """esp_nn_get_depthwise_conv_scratch_size_esp32s3."""
    channels, multiplier = data.dim(3), node.option("multiplier")
    taps = weights.dim(1) * weights.dim(2)
    if multiplier == 1 and channels % 8 == 0:
        if (weights.dim(1), weights.dim(2)) == (3, 3) and channels >= 12:
            return _three_by_three(node, data, weights, output)
        return _widened(data, taps, weights.dim(1))
    if multiplier == 1 and channels > 3:
        wide = align(channels, 8)
        inputs = align(2 * taps * wide)
        outputs = align(inputs + 2 * data.dim(1) * data.dim(2) * wide)
        biases = align(outputs + output.dim(1) * output.dim(2) * wide)
        return biases + 3 * 4 * wide + 16
    if multiplier % 4 == 0:
        return 2 * (taps * channels * multiplier + data.dim(1) * data.dim(2) * channels) + 32
    return 32


def _three_by_three(node: Node, data: Tensor, weights: Tensor, output: Tensor) -> int:
    above, left = padding_before(node, data, weights)
    rows, columns, channels = data.dim(1), data.dim(2), data.dim(3)
    right = output.dim(2) * node.option("stride_w") + 2 - columns
    below = output.dim(1) * node.option("stride_h") + 2 - rows
    if channels % 16:
        wide = align(channels)
        across = columns + 2 * left + max(0, right)
        down = rows + 2 * above + max(0, below)
        return (9 + across * down + output.dim(1) * output.dim(2)) * wide + 64
    if above or left:
        right, below = 2 * left, 2 * above
    if not right and not below:
        return 9 * channels + 16
    whole = (columns + right) * (rows + below) * channels
    strip = (columns + right) * weights.dim(1) * channels
    return 9 * channels + (whole if whole <= WHOLE_INPUT_BYTES else strip) + 16


def _widened(data: Tensor, taps: int, taps_high: int) -> int:
    """Returns the bytes for weights and input as int16; for a large input only some rows. The 3×3
    kernel for 8 channels widens all of it."""
    channels = data.dim(3)
    whole = 2 * (taps * channels + data.dim(1) * data.dim(2) * channels)
    if whole <= WHOLE_INT16_BYTES or (taps, taps_high, channels) == (9, 3, 8):
        return whole + 32
    return 2 * taps * channels + 2 * data.dim(2) * taps_high * channels + 32


FUNCTIONS: dict[str, Callable[[Node], None]] = {
    function.__name__: function for function in (esp_softmax, s3_conv, s3_depthwise_conv)
}
