"""Tests the profiles that follow from a library's source. The sizes of scratch buffers were
computed by the libraries' own C functions, compiled for a host: CMSIS-NN 4ab83cc3 with
ARM_MATH_MVEI (arm_convolve_wrapper_s8_get_buffer_size and its like) and esp-nn d45b843
(esp_nn_get_conv_scratch_size_esp32s3 and its like)."""

import pytest

from modelwave_controller.fit import PROFILES, analyse
from tests.fit.graphs import random_graph
from tests.fit.writer import Graph, write

M55, S3, ESP32, M4 = "cortex-m55:cmsis-nn", "esp32s3:esp-nn", "esp32:esp-nn", "cortex-m4:cmsis-nn"

# Kind, input (height, width, channels), window, output channels, stride, whether the padding is
# SAME; the bytes on a Cortex-M55 and on an ESP32-S3.
Layer = tuple[str, tuple[int, int, int], tuple[int, int], int, int, bool]
SCRATCH: dict[Layer, tuple[int, int]] = {
    ("conv", (8, 8, 12), (1, 1), 16, 1, True): (0, 1600),
    ("conv", (2, 3, 16), (1, 1), 16, 1, True): (0, 320),
    ("conv", (8, 8, 16), (1, 1), 16, 2, True): (0, 640),
    ("conv", (49, 10, 1), (10, 4), 64, 2, True): (192, 3472),
    ("conv", (8, 8, 3), (3, 3), 8, 1, True): (128, 416),
    ("conv", (8, 8, 16), (3, 3), 30, 2, False): (576, 8824),
    ("conv", (8, 9, 16), (3, 3), 30, 2, True): (576, 12152),
    ("conv", (1, 32, 8), (1, 5), 16, 1, True): (56, 2752),
    ("conv", (1, 32, 8), (1, 5), 16, 2, False): (40, 2688),
    ("conv", (1, 32, 3), (1, 5), 16, 1, True): (64, 1880),
    ("dw", (25, 5, 64), (3, 3), 64, 1, True): (4464, 12688),
    ("dw", (9, 9, 16), (3, 3), 16, 2, False): (4464, 1760),
    ("dw", (60, 60, 16), (3, 3), 16, 1, True): (4464, 3136),
    ("dw", (10, 10, 24), (3, 3), 24, 1, True): (4464, 9824),
    ("dw", (10, 10, 8), (3, 3), 8, 1, True): (4464, 1776),
    ("dw", (12, 12, 16), (5, 5), 16, 1, True): (12400, 5440),
    ("dw", (60, 60, 16), (5, 5), 16, 1, True): (12400, 10432),
    ("dw", (10, 10, 12), (3, 3), 12, 1, True): (4464, 5296),
    ("dw", (10, 10, 4), (3, 3), 16, 1, True): (0, 1120),
    ("dw", (49, 40, 1), (10, 8), 8, 2, True): (960, 5232),
    ("dw", (10, 10, 3), (3, 3), 6, 1, True): (0, 32),
    ("dw", (8, 8, 1), (3, 3), 1, 1, True): (4464, 32),
}


def layer(row: Layer) -> bytes:
    kind, (height, width, channels), window, filters, stride, same = row
    sides = [
        -(-side // stride) if same else (side - taps) // stride + 1
        for side, taps in zip((height, width), window, strict=True)
    ]
    graph = Graph()
    x, y = graph.tensor([1, height, width, channels]), graph.tensor([1, *sides, filters])
    options = {"StrideH": stride, "StrideW": stride, "Padding": 0 if same else 1}
    if kind == "conv":
        shape, code, table = [filters, *window, channels], "CONV_2D", "Conv2D"
    else:
        shape, code, table = [1, *window, filters], "DEPTHWISE_CONV_2D", "DepthwiseConv2D"
        options["DepthMultiplier"] = filters // channels
    size = shape[0] * shape[1] * shape[2] * shape[3]
    weights = graph.tensor(shape, data=bytes(size))
    graph.op(code, [x, weights], [y], table, **options)
    graph.inputs, graph.outputs = [x], [y]
    return write(graph)


def scratch(data: bytes, profile: str) -> int:
    (only,) = analyse(data, profile).layers
    return only.scratch


@pytest.mark.parametrize("row", list(SCRATCH), ids=str)
def test_scratch_is_what_the_librarys_own_function_computes(row: Layer) -> None:
    data = layer(row)
    assert (scratch(data, M55), scratch(data, S3)) == SCRATCH[row]
    assert scratch(data, ESP32) == 0


def test_softmax_of_esp_nn_takes_its_width() -> None:
    graph = Graph()
    x, y = graph.tensor([1, 10]), graph.tensor([1, 10], scales=[1 / 256], zero_points=[-128])
    graph.op("SOFTMAX", [x], [y], "Softmax", Beta=1.0)
    graph.inputs, graph.outputs = [x], [y]
    assert [scratch(write(graph), profile) for profile in (S3, ESP32, M4)] == [40, 40, 0]


def test_dense_layer_keeps_the_sums_of_its_weights_on_a_cortex_m55() -> None:
    graph = Graph()
    x, y = graph.tensor([1, 8]), graph.tensor([1, 100])
    weights = graph.tensor([100, 8], data=bytes(800))
    graph.op("FULLY_CONNECTED", [x, weights, -1], [y], "FullyConnected")
    graph.inputs, graph.outputs = [x], [y]
    helium, plain = analyse(write(graph), M55), analyse(write(graph), M4)
    assert helium.used is not None
    assert plain.used is not None
    assert helium.used - plain.used == 400


def test_derived_profiles_say_so_and_answer_what_the_measured_one_answers() -> None:
    for seed in range(40):
        data = random_graph(seed)
        for profile, like in ((M55, M4), (S3, "esp32:reference"), (ESP32, "esp32:reference")):
            fit, measured = analyse(data, profile), analyse(data, like)
            assert bool(fit.refused) == bool(measured.refused)
            if fit.need is not None and measured.need is not None:
                assert (fit.derived or "").startswith("derived from the source of")
                assert PROFILES[profile].derived in (fit.derived or "")
                assert fit.activations is not None
