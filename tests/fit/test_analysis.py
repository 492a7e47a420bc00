"""Tests what `analyse` returns besides the totals: the memory of each layer, and the buffers'
places."""

import pytest

from modelwave_controller.errors import OperatorError
from modelwave_controller.fit import PROFILES, Fit, analyse
from tests.fit.graphs import random_graph
from tests.fit.writer import Graph, write

REFERENCE, CMSIS, CMSIS_M0 = "cortex-m4:reference", "cortex-m4:cmsis-nn", "cortex-m0plus:cmsis-nn"


def tower() -> bytes:
    """A convolution (3×3, 4 to 8 channels), an average pool and a dense layer, in int8."""
    graph = Graph()
    x = graph.tensor([1, 8, 8, 4])
    weights = graph.tensor([8, 3, 3, 4], data=bytes(288))
    bias = graph.tensor([8], "INT32", data=bytes(32), scales=[0.01], zero_points=[0])
    features, pooled = graph.tensor([1, 8, 8, 8]), graph.tensor([1, 1, 1, 8])
    dense = graph.tensor([10, 8], data=bytes(80))
    output = graph.tensor([1, 10])
    graph.op("CONV_2D", [x, weights, bias], [features], "Conv2D", StrideW=1, StrideH=1)
    window = {"FilterWidth": 8, "FilterHeight": 8, "StrideW": 8, "StrideH": 8, "Padding": 1}
    graph.op("AVERAGE_POOL_2D", [features], [pooled], "Pool2D", **window)
    graph.op("FULLY_CONNECTED", [pooled, dense, -1], [output], "FullyConnected")
    graph.inputs, graph.outputs = [x], [output]
    return write(graph)


def test_layers_tell_weights_output_scratch_and_what_is_alive() -> None:
    fit = analyse(tower(), CMSIS)
    told = [
        (layer.operator, layer.output_shape, layer.weights, layer.output, layer.scratch, layer.live)
        for layer in fit.layers
    ]
    scratch = 2 * 2 * 36  # two columns of 3 × 3 × 4 int16
    assert told == [
        ("CONV_2D", (1, 8, 8, 8), 320, 512, scratch, 256 + 512 + scratch),
        ("AVERAGE_POOL_2D", (1, 1, 1, 8), 0, 8, 32, 512 + 16 + 32),
        ("FULLY_CONNECTED", (1, 10), 80, 10, 0, 16 + 16),
    ]
    assert [layer.peak for layer in fit.layers] == [True, False, False]
    assert fit.activations == 256 + 512 + scratch
    assert fit.weights == 288 + 32 + 80


def test_scratch_differs_by_kernel_library_and_core() -> None:
    scratch = {
        profile: [layer.scratch for layer in analyse(tower(), profile).layers]
        for profile in (REFERENCE, CMSIS, CMSIS_M0)
    }
    assert scratch == {REFERENCE: [0, 0, 0], CMSIS: [144, 32, 0], CMSIS_M0: [144, 0, 0]}


def test_boxes_lie_within_the_activations_and_touch_the_top_at_the_peak() -> None:
    for seed in range(30):
        fit = analyse(random_graph(seed), REFERENCE)
        assert fit.activations == max(box.offset + box.size for box in fit.boxes)
        assert all(box.offset >= 0 and box.first <= box.last for box in fit.boxes)
        assert any(layer.peak for layer in fit.layers) or not peaks_in_a_layer(fit)
        assert max(layer.live for layer in fit.layers) <= fit.activations


def peaks_in_a_layer(fit: Fit) -> bool:
    """The top may also belong to an input that no operator uses."""
    tops = [box for box in fit.boxes if box.offset + box.size == fit.activations]
    return any(box.last > 0 for box in tops)


def test_boxes_are_labelled_with_the_tensor_or_the_operator_that_wants_scratch() -> None:
    labels = {box.label for box in analyse(tower(), CMSIS).boxes}
    assert labels == {
        "tensor0",
        "tensor3",
        "tensor4",
        "tensor6",
        "scratch of operator 0 CONV_2D",
        "scratch of operator 1 AVERAGE_POOL_2D",
    }


@pytest.mark.parametrize("profile", list(PROFILES))
def test_need_covers_each_phase_and_is_a_multiple_of_16(profile: str) -> None:
    for seed in range(20):
        fit = analyse(random_graph(seed), profile)
        if fit.phases is None or fit.used is None or fit.need is None:
            assert fit.refused
            continue
        assert fit.need % 16 == 0
        assert 0 <= fit.need - max(vars_of(fit)) < 16
        assert fit.phases.final == fit.used


def vars_of(fit: Fit) -> tuple[int, int, int]:
    assert fit.phases is not None
    return fit.phases.prepare, fit.phases.planning, fit.phases.final


def test_enums_make_an_esp32_need_more_than_a_cortex_m() -> None:
    esp32, cortex = analyse(tower(), "esp32:reference"), analyse(tower(), REFERENCE)
    assert esp32.used is not None
    assert cortex.used is not None
    assert esp32.used > cortex.used


def test_unknown_profile_is_refused_with_the_nearest() -> None:
    with pytest.raises(OperatorError, match="cortex-m4:cmsis-nn"):
        analyse(tower(), "cortex-m4:cmsis")
