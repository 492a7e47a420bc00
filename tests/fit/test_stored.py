"""Tests constants that TFLM does not read where they are: they count as weights, and boards refuse
the model. tflite_micro computes with garbage, so it cannot judge."""

from struct import pack

import pytest

from modelwave_controller.fit import ModelError, analyse
from modelwave_controller.fit.model import read_model
from modelwave_controller.models import host
from modelwave_controller.models.needs import least_runtime
from tests.fit.steps_signal import options
from tests.fit.writer import Graph, write

PROFILE = "cortex-m4:cmsis-nn"


def dense(behind: bool, held: int = 80) -> bytes:
    """8 inputs to 10 outputs; `held` bytes of the weights are in the file."""
    graph = Graph()
    x, y = graph.tensor([1, 8]), graph.tensor([1, 10])
    weights = graph.tensor([10, 8], data=bytes(range(1, held + 1)))
    graph.op("FULLY_CONNECTED", [x, weights, -1], [y], "FullyConnected")
    graph.inputs, graph.outputs = [x], [y]
    return write(graph, metadata={"min_runtime_version": b"1.14.0"}, behind=behind)


def test_weights_behind_the_flatbuffer_are_weights_and_boards_refuse_them() -> None:
    inside, behind = dense(behind=False), dense(behind=True)
    fit = analyse(behind, PROFILE)
    assert fit.weights == analyse(inside, PROFILE).weights
    assert (fit.used, fit.need) == (None, None)
    assert fit.refused is not None
    assert "operator 0 FULLY_CONNECTED: tensor 2 tensor2: its data are behind" in fit.refused
    assert "flatbuffer_utils" in fit.refused
    assert host.activations(read_model(behind)) == host.activations(read_model(inside))
    assert least_runtime(behind) == least_runtime(inside) == "1.14.0"


def test_weights_behind_the_flatbuffer_that_are_cut_off_are_no_model() -> None:
    data = dense(behind=True)
    read_model(data)
    for cut in (data[:-1], data.replace(pack("<Q", 80), pack("<Q", (1 << 64) - 1))):
        with pytest.raises(ModelError, match="cut off"):
            analyse(cut, PROFILE)


def test_options_behind_the_flatbuffer_are_refused() -> None:
    graph = Graph()
    x, y = (graph.tensor([64], "INT16", scales=[], zero_points=[]) for _ in range(2))
    graph.op("SignalDelay", [x], [y], custom=options(delay_length=3))
    graph.inputs, graph.outputs = [x], [y]
    assert analyse(write(graph), PROFILE).refused is None
    assert "its options are behind the flatbuffer" in (
        analyse(write(graph, behind=True), PROFILE).refused or ""
    )


@pytest.mark.parametrize("held", [79, 1])
def test_fewer_bytes_than_the_shape_takes_are_refused(held: int) -> None:
    refused = analyse(dense(behind=False, held=held), PROFILE).refused
    assert f"it has {held} bytes in the file, and its shape takes 80" in (refused or "")


def test_compressed_model_is_unknown() -> None:
    graph = Graph()
    x, y = graph.tensor([1, 8]), graph.tensor([1, 8])
    graph.op("RELU", [x], [y])
    graph.inputs, graph.outputs = [x], [y]
    fit = analyse(write(graph, metadata={"COMPRESSION_METADATA": b"1"}), PROFILE)
    assert "compressed tensors" in (fit.unknown or "")
