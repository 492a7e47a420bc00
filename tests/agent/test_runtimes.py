"""The runtimes of a host: named arrays in and out, and what a program may do wrong with them."""

import argparse
import asyncio
import contextlib
import sys

import pytest

from modelwave_agent.host import prove
from modelwave_agent.host.runtimes import registry
from modelwave_agent.host.runtimes.port import HostRuntime, RuntimeSettings
from modelwave_agent.host.runtimes.specs import OPEN, InputError, TensorSpec
from modelwave_agent.ports import ProofError

np = pytest.importorskip("numpy")
pytest.importorskip("tflite", reason="the package tflite, which writes models, is not installed")

from modelwave_agent.host.golden import proof  # noqa: E402
from modelwave_agent.host.runtimes import arrays, litert  # noqa: E402
from modelwave_agent.host.runtimes.litert import LiteRT  # noqa: E402
from tests.fit.writer import Graph, write  # noqa: E402


def sums(shape=(1, 3), dtype="FLOAT32", open_shape=None):
    """A model that adds its two inputs, and also gives their difference."""
    graph = Graph()
    left, right = graph.tensor(shape, dtype), graph.tensor(shape, dtype)
    added, taken = graph.tensor(shape, dtype), graph.tensor(shape, dtype)
    graph.op("ADD", [left, right], [added], "Add")
    graph.op("SUB", [left, right], [taken], "Sub")
    graph.inputs, graph.outputs = [left, right], [added, taken]
    for tensor in graph.tensors if open_shape else ():
        tensor.signature = open_shape
    return write(graph)


def loaded(tmp_path, data, loading=None):
    path = tmp_path / "model.tflite"
    path.write_bytes(data)
    runtime = LiteRT()
    runtime.load(str(path), loading or {})
    return runtime


def test_a_model_with_two_inputs_and_two_outputs_runs_on_arrays_by_name(tmp_path):
    runtime = loaded(tmp_path, sums())
    (left, right), (added, taken) = runtime.inputs, runtime.outputs
    assert (left.dtype, left.shape) == ("<f4", (1, 3))
    given = {left.name: np.float32([[1, 2, 3]]), right.name: np.float32([[10, 20, 30]])}
    found = runtime.run(given)
    assert found[added.name].tolist() == [[11, 22, 33]]
    assert found[taken.name].tolist() == [[-9, -18, -27]]
    again = runtime.run({name: array + 1 for name, array in given.items()})
    assert found[added.name].tolist() == [[11, 22, 33]], "the first result is the caller's own"
    assert again[added.name].tolist() == [[13, 24, 35]]


def test_bytes_do_not_say_which_of_two_inputs_they_are(tmp_path):
    runtime = loaded(tmp_path, sums())
    with pytest.raises(InputError, match=r"2 inputs .*: run it on arrays by name"):
        runtime.run_bytes(bytes(12))


def test_an_open_shape_is_what_the_manifest_says(tmp_path):
    data = sums(shape=(1, 1), open_shape=(1, OPEN))
    names = [spec.name for spec in loaded(tmp_path, data).inputs]
    runtime = loaded(tmp_path, data, {"shapes": {name: [1, 5] for name in names}})
    assert [spec.shape for spec in runtime.inputs + runtime.outputs] == [(1, 5)] * 4
    given = {name: np.ones((1, 5), np.float32) for name in names}
    assert [array.sum() for array in runtime.run(given).values()] == [10, 0]


@pytest.mark.parametrize(
    ("shapes", "problem"),
    [
        ({"other": [1, 3]}, "a shape for other, the inputs are"),
        ({"first": [1, 4]}, "cannot be loaded"),  # that of the file is not open
        ({"first": [1, 2, 3]}, "cannot be loaded"),
    ],
)
def test_a_shape_that_the_model_does_not_take_is_a_fault_of_the_release(tmp_path, shapes, problem):
    first = loaded(tmp_path, sums()).inputs[0].name
    shapes = {first if name == "first" else name: shape for name, shape in shapes.items()}
    with pytest.raises(ProofError, match=problem) as raised:
        loaded(tmp_path, sums(), {"shapes": shapes})
    assert not isinstance(raised.value, InputError)


def finds(shape):
    """A model whose output has the places of what is true; the file says that it has `shape`."""
    graph = Graph()
    given, places = graph.tensor((4,), "BOOL"), graph.tensor(shape, "INT64")
    graph.op("WHERE", [given], [places], None)
    graph.inputs, graph.outputs = [given], [places]
    return write(graph)


@pytest.mark.parametrize("shape", [(0, 1), (1, 1), (9, 1)])
def test_an_output_without_elements_is_an_empty_array(tmp_path, shape):
    runtime = loaded(tmp_path, finds(shape))
    assert runtime.outputs[0].shape == (OPEN, OPEN)
    found = []
    for given in ([0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]):
        (output,) = runtime.run({runtime.inputs[0].name: np.array(given, bool)}).values()
        found.append((output.dtype, output.tolist()))
    assert found == [(np.int64, []), (np.int64, [[1], [2]]), (np.int64, [])]


def test_a_golden_set_of_outputs_of_changing_size_is_judged(tmp_path):
    runtime = loaded(tmp_path, finds((0, 1)))
    given, output = runtime.inputs[0].name, runtime.outputs[0].name
    inputs, expected = (
        np.array([[1, 0, 1, 0], [0, 1, 0, 1]], bool),
        np.array([[[0], [2]], [[1], [3]]]),
    )
    path = tmp_path / "set.npz"
    np.savez(path, **{f"inputs/{given}": inputs, f"outputs/{output}": expected})
    rule = {"judge": "elements", "absolute": {"any": 0}}
    tolerance = {"kind": "tensors", "outputs": {output: rule}}
    assert proof.judge(runtime, str(path), tolerance) == ""
    np.savez(path, **{f"inputs/{given}": ~inputs & False, f"outputs/{output}": expected})
    assert "the model's output [0, 1]" in proof.judge(runtime, str(path), tolerance)


SPECS = [
    TensorSpec("image", "|u1", (1, 2, 2)),
    TensorSpec("scale", "<f4", ()),
    TensorSpec("words", "|S0", (OPEN,)),
]
GOOD = {
    "image": np.zeros((1, 2, 2), np.uint8),
    "scale": np.float32(2),
    "words": np.array(["a", "bc"]),
}


def test_inputs_are_taken_in_the_shapes_of_the_model():
    assert list(arrays.checked(SPECS, GOOD)) == ["image", "scale", "words"]
    one_record = GOOD | {"image": np.zeros((2, 2), np.uint8), "scale": 2.5, "words": ["x"]}
    found = arrays.checked(SPECS, one_record)
    assert found["image"].shape == (1, 2, 2)
    assert (found["scale"].dtype, found["words"].shape) == (np.float32, (1,))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"image": None}, "input image"),
        (
            {"image": np.zeros((1, 2, 2))},
            r"takes uint8, and got float64; bring its values into 0 to 255 as in training, and "
            r"convert it with .astype\('uint8'\)",
        ),
        ({"image": np.zeros((1, 2, 3), np.uint8)}, r"shape \[1, 2, 2\], and got \[1, 2, 3\]"),
        ({"image": np.zeros((2, 2, 2), np.uint8)}, r"and got \[2, 2, 2\]"),
        ({"image": [[[1, 2], [3, 999]]]}, "input image: no array"),
        ({"image": [[1, 2], [3]]}, "input image: no array"),
        ({"scale": "two"}, "input scale: no array"),
        ({"scale": "2"}, "input scale: no array: it has texts"),
        ({"scale": 2j}, "input scale: no array: it has complex numbers"),
        ({"scale": np.array(2, ">f4")}, r"takes float32, and got >f4; convert it with .astype"),
        (
            {"image": np.ma.masked_equal(np.zeros((1, 2, 2), np.uint8), 0)},
            r"input image: 4 elements are masked, .*\.filled\(",
        ),
        ({"scale": np.float32([1, 2])}, r"shape \[\], and got \[2\]"),
        ({"words": np.zeros((1, 1), "S1")}, r"shape \[\?\], and got \[1, 1\]"),
        ({"words": np.zeros(2, np.int8)}, "takes bytes, and got int8"),
        ({"mask": np.zeros(1)}, "'mask': the model has no such input; it has image, scale, words"),
    ],
)
def test_a_wrong_input_is_named(change, problem):
    with pytest.raises(InputError, match=problem):
        arrays.checked(SPECS, GOOD | change)


def test_subclasses_of_arrays_are_taken_as_plain_arrays():
    for given in (
        np.matrix([[1, 2], [3, 4]], np.uint8),
        np.ma.masked_array(np.uint8([[1, 2], [3, 4]]), False),
    ):
        image = arrays.checked(SPECS, GOOD | {"image": given})["image"]
        assert type(image) is np.ndarray
        assert image.tolist() == [[[1, 2], [3, 4]]]


def test_a_missing_input_is_named():
    with pytest.raises(InputError, match="input scale: missing"):
        arrays.checked(SPECS, {"image": GOOD["image"], "words": GOOD["words"]})


def test_bytes_of_an_input_without_a_fixed_size_are_refused():
    with pytest.raises(InputError, match="its size is not fixed"):
        arrays.from_bytes(SPECS[2], b"abc")


def test_a_format_without_a_runtime_is_named():
    with pytest.raises(ProofError, match="no runtime for the format hef: here are tflite"):
        registry.make("hef", RuntimeSettings())


@pytest.mark.parametrize(
    "value", ["no.such.module:Runtime", "json:NoSuchClass", "json:JSONDecoder"]
)
def test_an_entry_point_that_is_no_runtime_is_named(monkeypatch, value):
    monkeypatch.setitem(registry.formats(), "trees", value)
    with pytest.raises(ProofError, match="the runtime for the format trees: "):
        registry.make("trees", RuntimeSettings())


def test_nothing_is_run_before_a_model_is_loaded():
    with pytest.raises(ProofError, match="no model is loaded"):
        HostRuntime(RuntimeSettings()).run({})


# Runtimes of other packages, which may do anything.


class Odd(HostRuntime):
    """What a test sets is what it does."""

    format = "odd"
    name = "odd-runtime"
    version = "1.0"
    inputs = (TensorSpec("x", "<f4", (1,)),)
    outputs = (TensorSpec("y", "<f4", (1,)),)
    answer = None

    def _run(self, inputs):
        return self.answer


def test_runtime_whose_files_cannot_be_read_once_is_installed_all_the_same(monkeypatch):
    tries, version = [], litert.metadata.version

    def failing(name):
        tries.append(name)
        if len(tries) == 1:
            raise OSError(5, "Input/output error")
        return version(name)

    monkeypatch.setattr(litert.metadata, "version", failing)
    assert "tflite" in [one.format for one in registry.installed(RuntimeSettings())]


@pytest.mark.parametrize("failures", [1, 2])
def test_what_a_runtime_says_once_may_be_an_error_of_the_disk_and_twice_is_the_model_s(failures):
    tries = []

    class Failing(Odd):
        def load(self, path, loading):
            tries.append((path, loading))
            if len(tries) <= failures:
                raise ProofError("could not open the model")

    with pytest.raises(ProofError) if failures == 2 else contextlib.nullcontext():
        Failing(RuntimeSettings()).load_surely("a.odd", {"shapes": {}})
    assert tries == [("a.odd", {"shapes": {}})] * 2


TOLERANCE = {
    "kind": "tensors",
    "outputs": {"y": {"judge": "elements", "absolute": {"any": 0}}},
}


@pytest.mark.parametrize(
    "text",
    [
        "raise RuntimeError('no driver')",
        "raise OSError('libodd.so.1: cannot open shared object file')",
        "raise SystemExit(3)",
        "1 / 0",
        "this is no Python",
        "from modelwave_agent.ports import ProofError\nRuntime = lambda settings: None",
        "from modelwave_agent.host.runtimes.port import HostRuntime\n"
        "class Runtime(HostRuntime):\n"
        "    def __init__(self, settings): raise KeyError('odd')",
        "from modelwave_agent.host.runtimes.port import HostRuntime\n"
        "class Runtime(HostRuntime):\n"
        "    format = 'odd'\n"
        "    name, version = 'a name', '1'",
        "from modelwave_agent.host.runtimes.port import HostRuntime\n"
        "class Runtime(HostRuntime):\n"
        "    format = 'odd'\n"
        "    name, version = 'odd', None",
        "from modelwave_agent.host.runtimes.port import HostRuntime\n"
        "class Runtime(HostRuntime):\n"
        "    format, name, version = 'odd', 'odd', '1'\n"
        "    offers = 5",
        "from modelwave_agent.host.runtimes.port import HostRuntime\n"
        "class Runtime(HostRuntime):\n"
        "    format = 'other'\n"
        "    name, version = 'odd', '1'",
    ],
)
def test_a_runtime_of_another_package_cannot_end_the_agent(monkeypatch, tmp_path, text):
    (tmp_path / "odd_runtime_module.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "odd_runtime_module", raising=False)
    monkeypatch.setitem(registry.formats(), "odd", "odd_runtime_module:Runtime")
    with pytest.raises(ProofError, match="the runtime for the format odd: "):
        registry.make("odd", RuntimeSettings())
    assert "odd" not in [one.format for one in registry.installed(RuntimeSettings())]


def test_packages_whose_metadata_cannot_be_read_are_passed_over(monkeypatch, tmp_path):
    for name, text in (("broken", b"\xff\xfe["), ("empty", b""), ("odd", b"[x\n=\n[[\n")):
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "entry_points.txt").write_bytes(text)
    good = tmp_path / "good-1.0.dist-info"
    good.mkdir()
    (good / "METADATA").write_text("Metadata-Version: 2.1\nName: good\nVersion: 1.0\n")
    (good / "entry_points.txt").write_text("[modelwave.runtimes]\ntrees = good:Trees\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert registry.formats.__wrapped__()["trees"] == "good:Trees"


@pytest.mark.parametrize("raised", [KeyError("y"), RuntimeError("no"), SystemExit(1)])
@pytest.mark.parametrize("where", ["load", "_run"])
def test_whatever_a_runtime_raises_in_its_proof_counts_against_the_model(
    monkeypatch, tmp_path, raised, where
):
    def fail(*_arguments):
        raise raised

    path = tmp_path / "set.npz"
    np.savez(path, **{"inputs/x": np.float32([[1]]), "outputs/y": np.float32([[1]])})
    monkeypatch.setattr(Odd, "load", lambda *_arguments: None)
    monkeypatch.setattr(Odd, where, fail)
    options = argparse.Namespace(model=path, golden=path, loading={}, tolerance=TOLERANCE)
    told = asyncio.run(prove.judge(Odd(RuntimeSettings()), options))
    assert told.startswith(f"proof: {type(raised).__name__}"), told


@pytest.mark.parametrize("answer", [None, [1.0], {}, {"y": None}, {"y": [1.0]}, {"y": 1.0}])
def test_an_output_that_is_no_array_is_a_failure_of_the_model(answer):
    runtime = Odd(RuntimeSettings())
    runtime.answer = answer
    with pytest.raises(ProofError, match="the runtime"):
        runtime.run({"x": np.float32([1])})


def test_only_the_outputs_of_the_model_are_given_back():
    runtime = Odd(RuntimeSettings())
    runtime.answer = {"z": np.float32([2]), "y": np.float32(3)}
    found = runtime.run({"x": np.float32([1])})
    assert list(found) == ["y"]
    assert isinstance(found["y"], np.ndarray)
