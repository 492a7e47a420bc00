"""ONNX Runtime as a host's runtime: on the CPU with the package itself, on GPUs with a stand-in."""

import pytest

from modelwave_agent.host.offers import offered
from modelwave_agent.host.runtimes import engines, registry
from modelwave_agent.host.runtimes.port import RuntimeSettings
from modelwave_agent.host.runtimes.specs import OPEN, InputError
from modelwave_agent.ports import ProofError
from tests.agent.fake_onnxruntime import FakeOnnxRuntime

np = pytest.importorskip("numpy")
pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")

from modelwave_agent.host.runtimes import onnx as ours  # noqa: E402
from tests.agent import onnx_models  # noqa: E402
from tests.agent.onnx_models import TensorProto  # noqa: E402

ONE_THREAD = RuntimeSettings(threads=1)
ALL = ["tensorrt", "cuda", "cpu"]


def loaded(tmp_path, data, loading=None, settings=ONE_THREAD):
    path = tmp_path / "b.model"
    path.write_bytes(data)
    runtime = ours.OnnxRuntime(settings)
    runtime.load(str(path), loading or {})
    return runtime


def test_a_model_with_two_inputs_and_two_outputs_runs_on_arrays_by_name(tmp_path):
    runtime = loaded(tmp_path, onnx_models.sums())
    assert [(s.name, s.dtype, s.shape) for s in runtime.inputs] == [
        ("left", "<f4", (1, 3)),
        ("right", "<f4", (1, 3)),
    ]
    first = runtime.run({"left": np.float32([[1, 2, 3]]), "right": np.float32([[4, 5, 6]])})
    again = runtime.run({"left": np.float32([[1, 1, 1]]), "right": np.float32([[1, 1, 1]])})
    assert first["sum"].tolist() == [[5, 7, 9]], "the first result is the caller's own"
    assert again["difference"].tolist() == [[0, 0, 0]]
    assert runtime.configuration == "onnxruntime"
    with pytest.raises(InputError, match="2 inputs"):
        runtime.run_bytes(bytes(12))


def test_a_model_with_one_input_runs_on_bytes(tmp_path):
    runtime = loaded(tmp_path, onnx_models.same(TensorProto.INT8))
    assert runtime.run_bytes(bytes([1, 255])) == bytes([1, 255])
    with pytest.raises(InputError, match="needs 2 bytes of input, and got 3"):
        runtime.run_bytes(bytes(3))


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("FLOAT", np.float32([0.5, -1])),
        ("DOUBLE", np.float64([0.5, -1])),
        ("FLOAT16", np.float16([0.5, -1])),
        ("BOOL", np.array([True, False])),
        ("INT8", np.int8([-128, 127])),
        ("INT16", np.int16([-2, 7])),
        ("INT32", np.int32([-2, 7])),
        ("INT64", np.int64([-2, 1 << 40])),
        ("UINT8", np.uint8([0, 255])),
        ("UINT16", np.uint16([0, 65535])),
        ("UINT32", np.uint32([0, 7])),
        ("UINT64", np.uint64([0, 1 << 63])),
    ],
)
def test_every_type_of_elements_comes_back_as_it_was_given(tmp_path, kind, values):
    runtime = loaded(tmp_path, onnx_models.same(getattr(TensorProto, kind)))
    found = runtime.run({"x": values[np.newaxis]})["y"]
    assert (found.dtype, found.tolist()) == (values.dtype, [values.tolist()])
    assert np.dtype(runtime.inputs[0].dtype) == values.dtype


@pytest.mark.parametrize("given", [np.array([["a", "é"]]), np.array([[b"a", "é".encode()]])])
def test_texts_come_back_as_bytes(tmp_path, given):
    runtime = loaded(tmp_path, onnx_models.same(TensorProto.STRING))
    assert runtime.run({"x": given})["y"].tolist() == [[b"a", "é".encode()]]


def test_open_shapes_are_those_of_the_manifest(tmp_path):
    data = onnx_models.sums(("batch", None))
    assert loaded(tmp_path, data).inputs[0].shape == (OPEN, OPEN)
    shapes = {"left": [2, 3], "right": [2, 3]}
    runtime = loaded(tmp_path, data, {"shapes": shapes})
    assert [spec.shape for spec in runtime.inputs] == [(2, 3), (2, 3)]
    ones = np.ones((2, 3), np.float32)
    assert runtime.run({"left": ones, "right": ones})["sum"].sum() == 12
    with pytest.raises(InputError, match=r"takes the shape \[2, 3\], and got \[1, 3\]"):
        runtime.run({"left": ones[:1], "right": ones})


@pytest.mark.parametrize(
    ("shapes", "problem"),
    [
        ({"other": [1, 3]}, "a shape for other, the inputs are left, right"),
        ({"left": [1, 4]}, r"gives left the shape \[1, 4\], the model has"),
        ({"left": [1, 2, 3]}, "gives left the shape"),
    ],
)
def test_a_shape_that_the_model_does_not_take_is_a_fault_of_the_release(tmp_path, shapes, problem):
    with pytest.raises(ProofError, match=problem):
        loaded(tmp_path, onnx_models.sums(("batch", 3)), {"shapes": shapes})


def test_a_file_that_is_no_model_is_its_own_fault_and_a_missing_one_is_not(tmp_path):
    with pytest.raises(ProofError, match="the model cannot be loaded"):
        loaded(tmp_path, b"\x08\x08no model")
    with pytest.raises(FileNotFoundError):
        ours.OnnxRuntime().load(str(tmp_path / "none.onnx"))


def test_an_output_that_is_no_tensor_is_refused_with_what_helps(tmp_path):
    zipped = onnx_models.helper.make_map_type_proto(
        TensorProto.INT64, onnx_models.helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    )
    sequence = onnx_models.helper.make_sequence_type_proto(zipped)
    output = onnx_models.helper.make_value_info("z", sequence)
    nodes = [("ZipMap", ["x"], ["z"], {"domain": "ai.onnx.ml", "classlabels_int64s": [0, 1]})]
    given = [onnx_models.tensor("x", (1, 2))]
    data = onnx_models.model(nodes, given, [output], domains=[("ai.onnx.ml", 1)])
    with pytest.raises(ProofError, match=r"z is a seq.*zipmap=False"):
        loaded(tmp_path, data)


def test_what_goes_wrong_in_a_run_is_a_fault_of_the_model(tmp_path):
    nodes = [("Reshape", ["x", "shape"], ["y"], {})]
    inputs = [onnx_models.tensor("x", (1, 2)), onnx_models.tensor("shape", (1,), TensorProto.INT64)]
    runtime = loaded(tmp_path, onnx_models.model(nodes, inputs, [onnx_models.tensor("y", (None,))]))
    with pytest.raises(ProofError, match="the model cannot be run") as raised:
        runtime.run({"x": np.float32([[1, 2]]), "shape": np.int64([3])})
    assert not isinstance(raised.value, InputError)


def test_a_device_offers_the_runtime_by_its_format_its_package_and_its_providers():
    runtime = registry.make("onnx", RuntimeSettings(providers=("cuda", "cpu")))
    names = set(offered([runtime]))
    assert names == {"onnx", "onnxruntime", "onnxruntime+cpu"}
    assert set(offered([registry.make("onnx", RuntimeSettings(providers=()))])) == {
        "onnx",
        "onnxruntime",
    }


def test_a_release_for_other_providers_is_no_fault_of_the_model(tmp_path):
    with pytest.raises(OSError, match=r"allows \(tensorrt, cuda\) is on this device \(cpu\)"):
        loaded(tmp_path, onnx_models.sums(), {"providers": ["tensorrt", "cuda"]})


# GPUs.


@pytest.fixture
def fake(monkeypatch):
    library = FakeOnnxRuntime()
    monkeypatch.setattr(ours, "onnxruntime", library)
    monkeypatch.setattr(engines, "tensorrt_version", lambda: "100300")
    monkeypatch.setattr(engines, "gpu", lambda: "Orin")
    return library


@pytest.mark.parametrize(
    ("allowed", "device", "taken", "configuration"),
    [
        (ALL, ALL, ["Tensorrt", "CUDA", "CPU"], "onnxruntime+tensorrt"),
        (["cuda", "tensorrt"], ALL, ["CUDA", "Tensorrt"], "onnxruntime+cuda"),
        (ALL, ["cpu", "cuda"], ["CUDA", "CPU"], "onnxruntime+cuda"),
        (None, ALL, ["CPU"], "onnxruntime"),
    ],
)
def test_it_computes_where_the_manifest_and_the_device_allow_it(
    tmp_path, fake, allowed, device, taken, configuration
):
    settings = RuntimeSettings(threads=3, providers=tuple(device))
    loading = {"providers": allowed} if allowed else {}
    runtime = loaded(tmp_path, b"", loading, settings)
    (session,) = fake.sessions
    assert list(session.providers) == [f"{name}ExecutionProvider" for name in taken]
    assert runtime.configuration == configuration
    assert session.options.intra_op_num_threads == 3
    assert session.options.use_deterministic_compute
    no_fallback = session.options.entries.get("session.disable_cpu_ep_fallback")
    assert no_fallback == (None if "CPU" in taken else "1")


def test_a_provider_that_cannot_be_started_is_left_out(tmp_path, fake):
    fake.broken = ("TensorrtExecutionProvider", "CUDAExecutionProvider")
    assert loaded(tmp_path, b"", {"providers": ALL}).configuration == "onnxruntime"
    with pytest.raises(OSError, match="does not allow the CPU"):
        loaded(tmp_path, b"", {"providers": ["tensorrt", "cuda"]})


def test_an_engine_is_built_once_and_anew_when_a_version_changes(tmp_path, fake, monkeypatch):
    folder = tmp_path / "b.engine"
    for _ in range(2):
        loaded(tmp_path, b"", {"providers": ALL})
    assert fake.built == 1
    assert engines.held_bytes(folder) == 1000
    monkeypatch.setattr(engines, "tensorrt_version", lambda: "100500")
    loaded(tmp_path, b"", {"providers": ALL})
    assert fake.built == 2
    assert engines.held_bytes(folder) == 1000, "the old one is deleted"


def test_no_engine_is_kept_for_a_model_outside_of_a_bank(tmp_path, fake):
    path = tmp_path / "digits.onnx"
    path.write_bytes(b"")
    ours.OnnxRuntime().load(str(path), {"providers": ALL})
    assert list(tmp_path.iterdir()) == [path]


def test_the_gpu_is_named_by_its_driver_or_by_the_device_tree(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "ROOT", tmp_path)
    assert engines.gpu() == ""
    tree = tmp_path / "proc/device-tree/model"
    tree.parent.mkdir(parents=True)
    tree.write_bytes(b"NVIDIA Jetson Orin Nano\0")
    assert engines.gpu() == "NVIDIA Jetson Orin Nano"
    told = tmp_path / "proc/driver/nvidia/gpus/0000:01:00.0/information"
    told.parent.mkdir(parents=True)
    told.write_text("Model: \t\t NVIDIA L4\nIRQ: 1\n")
    assert engines.gpu() == "NVIDIA L4"


def test_a_text_that_is_no_utf8_is_a_fault_of_the_input(tmp_path):
    runtime = loaded(tmp_path, onnx_models.same(TensorProto.STRING))
    with pytest.raises(InputError, match="a text is no UTF-8"):
        runtime.run({"x": np.array([[b"a", b"\xff"]])})


def test_open_sides_of_one_name_may_have_several_sizes(tmp_path):
    """Exporters write "?" for all that is open."""
    shapes = {"left": [1, 3], "right": [2, 3]}
    runtime = loaded(tmp_path, onnx_models.sums(("?", 3)), {"shapes": shapes})
    assert [spec.shape for spec in runtime.inputs] == [(1, 3), (2, 3)]
    found = runtime.run({"left": np.ones((1, 3), "f4"), "right": np.ones((2, 3), "f4")})
    assert found["sum"].shape == (2, 3)


def test_a_graph_that_those_kernels_cannot_load_is_loaded_without_them(tmp_path, monkeypatch):
    opened = []

    class Picky(ours.onnxruntime.InferenceSession):
        def __init__(self, path, options, **more):
            try:
                options.get_session_config_entry("session.x64quantprecision")
            except Exception:
                opened.append("plain")
            else:
                opened.append("precise")
                raise RuntimeError("Attempt to replace the existing tensor")
            super().__init__(path, options, **more)

    monkeypatch.setattr(ours.onnxruntime, "InferenceSession", Picky)
    runtime = loaded(tmp_path, onnx_models.same(TensorProto.INT8))
    assert opened == ["precise", "plain"]
    assert runtime.run_bytes(bytes([1, 2])) == bytes([1, 2])
