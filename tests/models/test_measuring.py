"""A host's RAM is measured by running the model, and a model that crashes, hangs or is refused
there gets a clear error."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelwave_controller.errors import OperatorError
from modelwave_controller.fit.model import read_model
from modelwave_controller.home import Home
from modelwave_controller.models import host
from modelwave_controller.models.host import Measured
from modelwave_controller.releases import measuring
from tests.controller.operator_home import DIGITS, Run, as_json, refused
from tests.fit.writer import Graph, write
from tests.models.test_release_needs import create

MEASURE = measuring.measure  # the tests of this folder put nothing in its place here
V2 = DIGITS / "digits-v2.tflite"
FAKE = (
    "import sys, json; found = {'ram': 5, 'reason': '', 'runtime': 'r', 'version': '1'}; "
    "one = lambda **changed: print(json.dumps(found | changed)); "
)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a program in the place of the one that measures."""

    def put(code: str) -> None:
        monkeypatch.setattr(measuring, "MEASURE", ("-c", FAKE + code))

    return put


def big(elements: int) -> bytes:
    """RELU of so many floats: two tensors that are alive together."""
    graph = Graph()
    given, made = (graph.tensor([1, elements], "FLOAT32") for _ in range(2))
    graph.op("RELU", [given], [made])
    graph.inputs, graph.outputs = [given], [made]
    return write(graph)


def program(model: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "modelwave_agent.host.measure", "--model", str(model), *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_figure_holds_the_tensors_of_a_model_and_little_more(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(big(2_000_000))
    done = program(tmp_path / "model.tflite")
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["reason"] == ""
    # Two tensors, and for a moment the input and the output that the program holds.
    assert 16_000_000 <= found["ram"] <= 36_000_000
    assert found["runtime"] in ("tflite-runtime", "ai-edge-litert")


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"TFL3 no", 0, "cannot be loaded"),
        (None, 1, "No such file"),
    ],
)
def test_what_cannot_be_measured_has_its_reason(
    tmp_path: Path, data: bytes | None, code: int, words: str
) -> None:
    if data is not None:
        (tmp_path / "model.tflite").write_bytes(data)
    done = program(tmp_path / "model.tflite")
    assert done.returncode == code
    assert words in done.stdout + done.stderr


def test_model_that_fails_on_random_inputs_is_measured_with_the_golden_set_s(
    tmp_path: Path,
) -> None:
    """A row that the table does not have, as a sample rate that a model does not know."""
    numpy = pytest.importorskip("numpy")
    graph = Graph()
    places, found = graph.tensor([64], "INT32"), graph.tensor([64], "INT32")
    graph.op("GATHER", [graph.constant([7], "INT32"), places], [found], "Gather")
    graph.inputs, graph.outputs = [places], [found]
    (tmp_path / "model.tflite").write_bytes(write(graph))
    golden = tmp_path / "set.npz"
    arrays = {"inputs/tensor0": numpy.zeros((2, 64), "<i4")}
    numpy.savez(golden, **arrays, **{"outputs/tensor1": numpy.full((2, 64), 7, "<i4")})

    def found_with(*more: str) -> Any:
        done = program(tmp_path / "model.tflite", *more)
        return json.loads(done.stdout.splitlines()[-1])

    assert "out of" in found_with()["reason"]
    known = found_with("--golden", str(golden))
    assert known["reason"] == ""
    assert known["ram"] > 0
    numpy.savez(golden, **arrays, **{"outputs/tensor1": numpy.zeros((2, 2), "<i4")})
    assert found_with("--golden", str(golden))["reason"].startswith("golden: ")


def test_the_time_limit_ends_the_program_itself() -> None:
    assert program(V2, "--seconds", "0.001").returncode == -signal.SIGALRM


@pytest.mark.slow
def test_memory_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(big(200_000_000))
    done = program(tmp_path / "model.tflite", "--memory", "400000000", "--seconds", "60")
    assert done.returncode < 0 or json.loads(done.stdout.splitlines()[-1])["reason"]


def test_greatest_of_all_ways_counts_with_the_margin(said: Any) -> None:
    said(
        "a = dict(zip(sys.argv[1::2], sys.argv[2::2])); "
        "threads = json.loads(a['--settings'])['threads']; "
        "one(ram=1000000 + threads + 5 * ('delegates' in a['--loading']))"
    )
    least = 1_000_000 + max(measuring._THREADS)
    for format_, loading, more, fixed in (
        ("tflite", {}, 0, 64 << 10),
        ("tflite", {"delegates": ["xnnpack"]}, 5, 64 << 10),
        ("onnx", {}, 0, 512 << 10),
    ):
        found = MEASURE(V2, format_, loading, ())
        greatest = least + more
        margin = greatest * measuring.MARGIN_PPM // 10**6 + fixed
        assert found == Measured(greatest + margin, ("r 1",))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("one(ram=0, reason='no FlexErf')", "--file: on r 1: no FlexErf"),
        ("import os; os.kill(os.getpid(), 11)", "was ended by SIGSEGV"),
        ("import os; os.kill(os.getpid(), 14)", "gave no result within 60 s"),
    ],
)
def test_model_that_crashes_hangs_or_is_refused_is_an_error(
    said: Any, code: str, words: str
) -> None:
    said(code)
    with pytest.raises(OperatorError, match=words):
        MEASURE(V2, "tflite", {}, ())


@pytest.mark.parametrize(
    "code", ["sys.exit('no runtime')", "print('x')", "one(ram=-1)", "one(x=1)"]
)
def test_a_python_without_a_runtime_measures_nothing_unless_it_was_named(
    said: Any, tmp_path: Path, code: str
) -> None:
    said(code)
    assert MEASURE(V2, "tflite", {}, ()) is None
    other = tmp_path / "python"
    other.symlink_to(sys.executable)
    with pytest.raises(OperatorError, match=f"--python: {other}: "):
        MEASURE(V2, "tflite", {}, (str(other),))


def test_program_that_is_none_is_named() -> None:
    with pytest.raises(OperatorError, match="--python: /no/such: it cannot be started"):
        MEASURE(V2, "tflite", {}, ("/no/such",))


def test_only_the_distribution_that_devices_have_counts(said: Any) -> None:
    said("one()")
    assert MEASURE(V2, "tflite", {}, (), "ai-edge-litert") is None
    assert MEASURE(V2, "tflite", {}, (), "r") is not None


def test_another_python_gets_our_packages_and_nothing_else(said: Any, tmp_path: Path) -> None:
    said("import os; one(runtime=','.join(sorted(os.listdir(os.environ['PYTHONPATH']))))")
    other = tmp_path / "python"
    other.symlink_to(sys.executable)
    found = MEASURE(V2, "tflite", {}, (str(other),), "modelwave_agent,modelwave_shared")
    assert found is not None
    assert found.runtimes == ("modelwave_agent,modelwave_shared 1",)


@pytest.mark.slow
def test_interrupt_leaves_no_process_and_no_folder(tmp_path: Path) -> None:
    """As by Ctrl-C, which all processes of the terminal get."""
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    child = f"import time; open({str(begun)!r}).read(); time.sleep(600)"
    script = (
        "import sys; from pathlib import Path; from modelwave_controller.releases import measuring;"
        f"measuring.MEASURE = ('-c', {child!r}); "
        f"measuring.measure(Path({str(begun)!r}), 'tflite', {{}}, ())"  # which it may read
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        start_new_session=True,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    begun.write_bytes(b"")  # returns when the process that measures has opened it
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) != 0
    with pytest.raises(ProcessLookupError):  # nobody is left in its group
        os.killpg(process.pid, 0)
    assert list(tmp_path.iterdir()) == [begun]


@pytest.mark.usefixtures("prover")
@pytest.mark.parametrize(
    ("measured", "asked", "expected"),
    [
        (Measured(7_000_000, ("a 1", "b 2")), (), (7_000_000, "measured on a 1, b 2")),
        (Measured(7_000_000, ("a 1",)), ("--ram", 5), (5, "given")),
        (None, (), (host.ram(read_model(V2.read_bytes()), V2.stat().st_size), "planned")),
    ],
    ids=["measured", "given", "planned"],
)
def test_manifest_says_where_the_ram_is_from(
    home: Home,
    tmp_path: Path,
    modelwave: Run,
    monkeypatch: pytest.MonkeyPatch,
    measured: Measured | None,
    asked: tuple[object, ...],
    expected: tuple[int, str],
) -> None:
    monkeypatch.setattr(measuring, "measure", lambda *_: measured)
    made = as_json(modelwave(*create(tmp_path, V2.read_bytes(), "linux-cpu", *asked, "--json")))
    manifest = made["manifest"]
    assert (manifest["needs"]["ram"], manifest["extra"]["ram_from"]) == expected
    assert expected[1] in modelwave("release", "show", "digits", "v1")[1]


@pytest.mark.usefixtures("prover")
def test_model_that_cannot_be_measured_is_released_by_force_with_the_plan(
    home: Home, tmp_path: Path, modelwave: Run, monkeypatch: pytest.MonkeyPatch, said: Any
) -> None:
    monkeypatch.setattr(measuring, "measure", MEASURE)
    said("one(ram=0, reason='too old')")
    arguments = create(tmp_path, V2.read_bytes(), "linux-cpu")
    refused(modelwave(*arguments), "--file: on r 1: too old")
    made = as_json(modelwave(*arguments, "--force", "a reason", "--json"))
    assert made["manifest"]["extra"]["ram_from"] == "planned"


@pytest.mark.usefixtures("prover")
def test_model_whose_file_does_not_say_its_size_is_measured(
    home: Home, tmp_path: Path, modelwave: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "measure", lambda *_: Measured(9_000_000, ("a 1",)))
    graph = Graph()
    given, made = graph.tensor([1], "STRING"), graph.tensor([1], "STRING")
    graph.op("RESHAPE", [given], [made])
    graph.inputs, graph.outputs = [given], [made]
    found = as_json(modelwave(*create(tmp_path, write(graph), "linux-cpu", "--json")))["manifest"]
    assert (found["needs"]["ram"], found["extra"]["ram_from"]) == (9_000_000, "measured on a 1")
