"""The runtime for TFLite models on models whose file leaves shapes open."""

import pytest

from modelwave_agent.host.runtimes.litert import LiteRT
from modelwave_agent.ports import ProofError

np = pytest.importorskip("numpy")


@pytest.fixture
def runtime():
    try:
        return LiteRT()
    except ProofError as error:
        pytest.skip(str(error))


@pytest.fixture
def open_model(tmp_path):
    """It makes 2×2 of its input, whose file says: any number, 1 for now."""
    pytest.importorskip("tflite")
    from tests.fit.writer import Graph, write

    graph = Graph()
    given = graph.tensor([1], "FLOAT32", signature=[-1])
    result = graph.tensor([2, 2], "FLOAT32")
    graph.op("RESHAPE", [given, graph.constant([2, 2])], [result], "Reshape", NewShape=[2, 2])
    graph.inputs, graph.outputs = [given], [result]
    path = tmp_path / "open.tflite"
    path.write_bytes(write(graph))
    return str(path)


def test_a_model_that_only_works_in_the_shapes_of_the_manifest_is_loaded_in_them(
    runtime, open_model
):
    with pytest.raises(ProofError, match="cannot be loaded"):
        runtime.load(open_model)
    name = "tensor0"
    runtime.load(open_model, {"shapes": {name: [4]}})
    assert runtime.inputs[0].shape == (4,)
    (output,) = runtime.run({name: np.arange(4, dtype="<f4")}).values()
    assert output.tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize("shapes", [{"other": [4]}, {"tensor0": [5]}, {"tensor0": [4, 4, 4]}])
def test_shapes_that_the_model_cannot_have_are_refused(runtime, open_model, shapes):
    with pytest.raises(ProofError, match="cannot be loaded"):
        runtime.load(open_model, {"shapes": shapes})


OWN_SHAPE = [{"name": "x", "index": 0, "shape": [1, 1], "shape_signature": [1, -1]}]


class OpenModel:
    """An interpreter of a model with an open side, which cannot be allocated as it stands."""

    def __init__(self, **_options):
        pass

    def get_input_details(self):
        return OWN_SHAPE

    def get_output_details(self):
        return [{"name": "y", "index": 1}]

    def get_signature_list(self):
        return {}

    def allocate_tensors(self):
        raise RuntimeError("BytesRequired number of elements overflowed")


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ({}, "overflowed (input x leaves its shape [1, -1] open: golden make --shape"),
        ({"x": [16000]}, "the manifest gives x the shape [16000], the model has [1, -1]"),
        ({"x": [2, 16000]}, "the manifest gives x the shape [2, 16000], the model has [1, -1]"),
        ({"z": [1]}, "the manifest has a shape for z, the inputs are x"),
    ],
)
def test_open_shape_that_was_not_given_or_does_not_fit_is_named(
    runtime, tmp_path, monkeypatch, shapes, said
):
    (tmp_path / "m.tflite").touch()
    monkeypatch.setattr(runtime._tflite, "Interpreter", OpenModel)
    with pytest.raises(ProofError) as raised:
        runtime.load(str(tmp_path / "m.tflite"), {"shapes": shapes})
    assert said in str(raised.value)
