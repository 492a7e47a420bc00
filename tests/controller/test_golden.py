"""`modelwave golden`: sets are made, shown and examined through the command line, with a real
runtime."""

import contextlib
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from operator_home import DIGITS, Run, as_json, make_home, refused, runner

from modelwave_controller.fit import ModelError
from modelwave_controller.models import weights
from modelwave_shared import golden

np = pytest.importorskip("numpy")

V2 = DIGITS / "digits-v2.tflite"
V2_GOLDEN = DIGITS / "digits-v2.golden"


@pytest.fixture
def modelwave(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    monkeypatch.chdir(tmp_path)
    return runner(capsys)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    with np.load(DIGITS / "heldout.npz") as held_out:
        np.save(tmp_path / "inputs.npy", held_out["inputs"][:24])
        np.savetxt(tmp_path / "labels.txt", held_out["labels"][:24], "%d")
    return tmp_path / "inputs.npy"


# What is made.


@pytest.mark.slow
def test_made_set_is_shown_and_released(
    modelwave: Run, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_home(tmp_path / "home", monkeypatch)
    made = as_json(modelwave("golden", "make", V2, "--inputs", inputs, "--xnnpack", "--json"))
    assert (made["file"], made["form"], made["records"]) == ("digits-v2.npz", "npz", 24)
    names = [one["configuration"] for one in made["configurations"]]
    assert len(names) == 2
    assert names[1] == f"{names[0]}+xnnpack"
    assert made["configurations"][0]["outputs"]["classes"]["worst"] == 0
    figures = made["tolerance"]["outputs"]["classes"]["absolute"]
    assert set(figures) == {*names, "any"}
    shown = as_json(modelwave("golden", "show", "digits-v2.npz", "--json"))
    assert shown["golden.json"]["tolerance"] == made["tolerance"]
    assert [one["name"] for one in shown["arrays"]] == ["inputs/pictures", "outputs/classes"]
    words = ["--golden=digits-v2.npz", "--file", V2, "--dataset=d", "--quantisation=int8"]
    words += ["--target=linux-cpu", "--yes", "--json"]
    manifest = as_json(modelwave("release", "create", "digits", "v2", *words))["manifest"]
    assert manifest["tolerance"] == made["tolerance"]
    assert manifest["loading"] == {"delegates": ["xnnpack"]}
    refused(modelwave("golden", "make", V2, "--inputs", inputs), "exists", "--force")


@pytest.mark.slow
def test_board_s_form_is_made_with_outputs_or_labels(
    modelwave: Run, inputs: Path, tmp_path: Path
) -> None:
    make = ["golden", "make", V2, "--inputs", inputs, "--board", "--json"]
    made = as_json(modelwave(*make, "--out=o.golden"))
    assert made["tolerance"]["kind"] == "outputs"
    assert made["tolerance"]["steps"]["any"] == 8
    header = golden.Header((tmp_path / "o.golden").read_bytes()[:20])
    assert (header.kind, header.count, header.input_bytes) == ("o", 24, 64)
    labels = tmp_path / "labels.txt"
    made = as_json(modelwave(*make, "--labels", labels, "--out=l.golden"))
    assert golden.Header((tmp_path / "l.golden").read_bytes()[:20]).kind == "l"
    least = made["tolerance"]["least_ppm"] / 1_000_000
    steps = as_json(
        modelwave(
            "golden", "check", V2, "l.golden", f"--least-correct={least:g}", "--faults=0", "--json"
        )
    )
    assert steps["configurations"][0]["outputs"]["classes"]["problem"] == ""


@pytest.mark.slow
def test_random_inputs_are_the_same_each_time_and_said_as_such(
    modelwave: Run, tmp_path: Path
) -> None:
    for name in ("a.npz", "b.npz"):
        code, out, _ = modelwave("golden", "make", V2, "--random=4", "--out", name)
        assert code == 0
        assert "its inputs are random numbers" in out
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    said = as_json(modelwave("golden", "show", "a.npz", "--json"))["golden.json"]
    assert said["inputs"] == "random"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arrays", "more", "words"),
    [
        (
            {"pictures": np.zeros((3, 64), "|i1")},
            [],
            "cannot fail: output classes: a model",
        ),
        (
            {"pictures": np.zeros((3, 64), "<f4")},
            [],
            "pictures: the model takes int8",
        ),
        ({"pictures": np.zeros((3, 63), "|i1")}, [], "input pictures: the model takes the shape"),
        ({"a": np.zeros(3), "b": np.zeros(3)}, [], "no array pictures: the model's inputs are"),
        ({"pictures": np.zeros((5000, 1), "|i1")}, [], "5000"),
        ({"x": np.zeros((3, 64), "|i1")}, ["--labels=labels.txt"], "24 labels, and 3 records"),
        (
            {"x": np.zeros((3, 64), "|i1")},
            ["--labels=/dev/null"],
            "/dev/null is a device",
        ),
        ({"x": np.zeros((3, 64), "|i1")}, ["--shape=y=1x64"], "the manifest has a shape for y"),
        ({"x": np.zeros((3, 64), "|i1")}, ["--shape=64"], "--shape: '64'; give NAME=1x224x224x3"),
        ({"x": np.zeros((3, 64), "|i1")}, ["--python=/nowhere/py"], "--python: /nowhere/py is no"),
        ({"x": np.zeros((3, 64), "|i1")}, ["--random=3"], "--inputs: give it, or --random N"),
    ],
)
def test_set_that_cannot_be_made_leaves_no_file_and_names_the_reason(
    modelwave: Run, inputs: Path, tmp_path: Path, arrays: Any, more: list[str], words: str
) -> None:
    np.savez(tmp_path / "in.npz", **arrays)
    before = sorted(tmp_path.iterdir())
    refused(modelwave("golden", "make", V2, "--inputs=in.npz", *more), words)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.slow
def test_other_interpreter_without_a_runtime_is_named_and_the_rest_is_made(
    modelwave: Run, inputs: Path, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')  # without site-packages
    python.chmod(0o755)
    words = ["--inputs", inputs, f"--python={python}", "--json"]
    made = as_json(modelwave("golden", "make", V2, *words))
    assert [one["python"] for one in made["problems"]] == [str(python), f"{python}+xnnpack"]
    assert "numpy" in made["problems"][0]["problem"]


def test_model_that_is_none_is_called_by_its_name(modelwave: Run, tmp_path: Path) -> None:
    page = tmp_path / "m.tflite"
    page.write_text("<!DOCTYPE html><html>")
    refused(modelwave("golden", "make", page, "--random=1"), "MODEL: ", "it is a web page")
    refused(modelwave("golden", "make", tmp_path, "--random=1"), "MODEL: ")
    refused(modelwave("golden", "show", tmp_path / "none.npz"), "GOLDEN_SET: cannot read")


@pytest.mark.slow
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_model_that_is_cut_off_is_called_so(modelwave: Run, tmp_path: Path, part: float) -> None:
    whole = V2.read_bytes()
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(whole[: int(part * len(whole))])
    said = "MODEL: ", "cut.tflite: cut off, or an offset points outside the file"
    refused(modelwave("golden", "make", cut, "--random=1"), *said)
    refused(modelwave("golden", "check", cut, V2_GOLDEN, "--steps=any=1", "--faults=0"), *said)


def test_detector_and_model_of_two_inputs_get_a_set_with_their_judges(
    modelwave: Run, tmp_path: Path
) -> None:
    several = pytest.importorskip("tests.agent.several_tensors")
    for name, model in (("detector", several.detector()), ("joined", several.joined())):
        (tmp_path / f"{name}.tflite").write_bytes(model)
        words = ["--random=12", "--seed=3", "--json"]
        made = as_json(modelwave("golden", "make", f"{name}.tflite", *words))
        judges = [rule["judge"] for rule in made["tolerance"]["outputs"].values()]
        assert judges == (["boxes"] if name == "detector" else ["elements"] * len(judges))
        check = ["golden", "check", f"{name}.tflite", f"{name}.npz", "--json"]
        found = as_json(modelwave(*check, "--faults=30"))
        problems = [one["problem"] for one in found["configurations"][0]["outputs"].values()]
        assert set(problems) == {""}
        assert found["faults"]["noticed"] > 0
    (tmp_path / "moved.tflite").write_bytes(several.detector(shift=5.0))
    check = ["golden", "check", "moved.tflite", "detector.npz", "--faults=0"]
    code, out, _ = modelwave(*check)
    assert code == 0
    assert "boxes found" in out


# What it notices.


@pytest.mark.slow
def test_check_says_what_a_set_of_boards_notices(modelwave: Run) -> None:
    check = ["golden", "check", V2, V2_GOLDEN, "--steps=any=1", "--faults=40", "--json"]
    found = as_json(modelwave(*check))
    judged = found["configurations"][0]["outputs"]["classes"]
    assert (judged["right"], judged["seen"], judged["problem"]) == (32, 32, "")
    faults = found["faults"]
    assert faults["tried"] == 40
    assert 0 < faults["noticed"] < 40
    counts = list(faults["by_records"].values())
    assert counts == sorted(counts)
    assert counts[-1] == faults["noticed"]
    assert as_json(modelwave(*check))["faults"] == faults  # drawn by the seed
    assert as_json(modelwave(*check, "--seed=1"))["faults"] != faults
    code, out, _ = modelwave(*check[:-1])
    assert code == 0
    assert f"{faults['noticed']} of 40 flipped bits in the weights are noticed" in out


@pytest.mark.slow
def test_check_of_another_model_and_of_a_weak_set_says_so(modelwave: Run) -> None:
    check = ["golden", "check", DIGITS / "digits-v3.tflite", V2_GOLDEN, "--faults=0", "--json"]
    found = as_json(modelwave(*check, "--steps=any=1"))
    assert "records are off by more than 1" in str(found["configurations"][0]["outputs"])
    assert as_json(modelwave(*check, "--steps=any=255"))["weak"].startswith("its output: ")
    refused(modelwave(*check[:-1]), "does not say its tolerance")


CRASHING = """
import os, signal, sys
from modelwave_agent.host.golden import __main__ as program, faulty
calls = []
def noticed(*_):
    calls.append(1)
    number = len(calls) if not os.path.exists({mark!r}) else 9
    if number == 2:
        open({mark!r}, "w").close()
        os.kill(os.getpid(), signal.{signal})
    return None
faulty.noticed_from = noticed
sys.exit(program.main())
"""


@pytest.mark.slow
@pytest.mark.parametrize(("number", "ended"), [("SIGSEGV", "crashed"), ("SIGALRM", "hung")])
def test_fault_that_ends_its_process_counts_as_noticed_and_the_next_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str, ended: str
) -> None:
    from modelwave_agent.host.golden import children, examine

    code = CRASHING.format(mark=str(tmp_path / "mark"), signal=number)
    real = subprocess.Popen

    def patched(command: list[str], **options: Any) -> Any:
        at = command.index("-m")
        return real([*command[:at], "-c", code, *command[at + 2 :]], **options)

    monkeypatch.setattr(children.subprocess, "Popen", patched)
    options = {
        "--model": str(V2),
        "--golden": str(V2_GOLDEN),
        "--tolerance": '{"kind":"outputs","steps":{"any":1}}',
        "--loading": "{}",
    }
    faults = [(1000 + n, 1) for n in range(5)]
    found = examine._faults(options, faults, {"seconds": 0.01, "records": 32}, tmp_path)
    assert (found["tried"], found["noticed"], found[ended]) == (5, 1, 1)


def _started(running: "subprocess.Popen[bytes]", command: bytes) -> int:
    """Waits for the process with this command line; it may write nothing that a test could read."""
    while running.poll() is None:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if path.read_bytes() == command:
                    return int(path.parent.name)
        time.sleep(0.05)
    raise AssertionError("the command ended before")


@pytest.mark.slow
def test_interrupted_command_leaves_no_process_and_no_file(tmp_path: Path, inputs: Path) -> None:
    """Ctrl-C while another interpreter hangs."""
    python = tmp_path / "python"
    seconds = 300 + os.getpid()  # no other process sleeps for so long
    python.write_text(f"#!/bin/sh\nexec sleep {seconds}\n")
    python.chmod(0o755)
    before = sorted(tmp_path.iterdir())
    command = [sys.executable, "-m", "modelwave_controller", "golden", "make", str(V2)]
    command += ["--inputs", str(inputs), "--python", str(python)]
    running = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE)
    hanging = _started(running, b"sleep\x00%d\x00" % seconds)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert said == b"modelwave: interrupted\n"
    assert sorted(tmp_path.iterdir()) == before
    for _ in range(600):  # it is killed; init reaps it
        try:
            os.kill(hanging, 0)
        except ProcessLookupError:
            break
        if "Z" in Path(f"/proc/{hanging}/stat").read_text().rsplit(")", 1)[1]:
            break
        time.sleep(0.05)
    else:
        pytest.fail("the other interpreter still runs")


# Where the weights are.


def test_faults_lie_in_the_buffers_of_tensors_only() -> None:
    data = V2.read_bytes()
    spans = weights.spans(data, "tflite")
    assert sum(size for _, size in spans) == 64 * 32 + 32 * 10 + 4 * (32 + 10)
    inside = {at for start, size in spans for at in range(start, start + size)}
    faults = weights.faults(spans, 500, seed=3)
    assert {at for at, _ in faults} <= inside
    assert {bit for _, bit in faults} == {1 << n for n in range(8)}
    assert weights.faults(spans, 500, seed=3) == faults
    assert weights.faults([], 5, 0) == []
    assert weights.spans(data, "sklearn-json") == []


def field(number: int, data: bytes) -> bytes:
    size = bytes([len(data) & 0x7F | 0x80, len(data) >> 7])
    return bytes([number << 3 | 2]) + size + data


def test_onnx_weights_are_initializers_and_constants_also_of_inner_graphs() -> None:
    raw, floats = field(9, b"RAWRAW"), field(4, struct.pack("<2f", 1, 2))
    constant = field(5, field(5, field(9, b"CONST")))  # attribute.t of a node
    branch = field(5, field(6, field(5, field(9, b"INNER"))))  # attribute.g with an initializer
    graph = field(5, raw) + field(5, floats) + field(1, constant) + field(1, branch)
    data = b"\x08\x08" + field(7, graph) + field(2, b"producer")
    found = {data[at : at + size] for at, size in weights.spans(data, "onnx")}
    assert found == {b"RAWRAW", struct.pack("<2f", 1, 2), b"CONST", b"INNER"}
    with pytest.raises(ModelError, match="cut off"):
        weights.spans(data[:-20], "onnx")
    for cut in range(len(data)):
        try:
            weights.spans(data[:cut], "onnx")
        except ModelError:
            continue
    nested = b""
    for _ in range(100):  # graphs in attributes of nodes of graphs …
        nested = field(1, field(5, field(6, nested)))
    with pytest.raises(ModelError, match="too many parts"):
        weights.spans(field(7, nested), "onnx")
