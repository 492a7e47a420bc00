"""Tests the golden set with LiteRT: a model that is wrong, crashes or hangs is unhealthy, and does
no other harm."""

import asyncio
import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from modelwave_agent.host import accelerators, proving
from modelwave_agent.host import prove as prover
from modelwave_agent.host.process import MAX_TAIL_BYTES, Ended
from modelwave_agent.host.proving import DeviceRuntimes
from modelwave_agent.host.runtimes import litert
from modelwave_agent.host.runtimes.litert import LiteRT
from modelwave_agent.host.runtimes.port import RuntimeSettings
from modelwave_agent.ports import ProofError
from modelwave_shared import golden
from tests.agent.hand import Hand

pytestmark = pytest.mark.slow

np = pytest.importorskip("numpy")

MODELS = Path(__file__).parents[2] / "examples" / "digits" / "models"
V2 = str(MODELS / "digits-v2.tflite")
V3 = str(MODELS / "digits-v3.tflite")
V2_GOLDEN = str(MODELS / "digits-v2.golden")
LABELS_GOLDEN = str(MODELS / "digits-labels.golden")
OUTPUTS = {"kind": "outputs", "steps": {"any": 1}}
LABELS = {"kind": "labels", "least_ppm": 900_000}
SECONDS = 20  # for what takes a fraction of one


def prove(model=V2, golden_file=V2_GOLDEN, tolerance=OUTPUTS, seconds=SECONDS):
    runtimes = DeviceRuntimes(proof_seconds=seconds)
    manifest = {"format": "tflite", "tolerance": tolerance}
    return asyncio.run(runtimes.prove(str(model), str(golden_file), manifest))


def program(*arguments, **options):
    command = [sys.executable, "-m", "modelwave_agent.host.prove", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, **options)


# The runtime.


def test_runs_bytes_to_bytes():
    runtime = LiteRT()
    runtime.load(V2)
    data = Path(V2_GOLDEN).read_bytes()
    given, wanted = data[20 : 20 + 64], data[20 + 64 : 20 + 74]
    assert (
        golden.furthest(
            struct.unpack("10b", runtime.run_bytes(given)), struct.unpack("10b", wanted), "b"
        )
        <= 1
    )


def test_input_of_another_length_is_refused():
    runtime = LiteRT()
    runtime.load(V2)
    for size in (0, 63, 65, 64_000):
        with pytest.raises(ProofError, match=f"needs 64 bytes of input, and got {size}"):
            runtime.run_bytes(bytes(size))


def test_nothing_loaded_is_a_proof_error():
    runtime = LiteRT()
    runtime.load(V2)
    runtime.unload()
    with pytest.raises(ProofError, match="no model is loaded"):
        runtime.run_bytes(bytes(64))


@pytest.mark.parametrize("cut", [0, 7, 100, 2000])
def test_cut_model_is_a_proof_error(tmp_path, cut):
    model = tmp_path / "cut.tflite"
    model.write_bytes(Path(V2).read_bytes()[:cut])
    said = prove(model)
    assert said
    assert "\n" not in said


@pytest.mark.parametrize("after", [b"", b"\n", b"0\n", b"[]\n", b"bye\n", b"[" * 3000 + b"\n"])
def test_lines_around_the_proof_s_result_are_passed_over(after):
    said = b'INFO: a line of the runtime\n{"healthy": true}\n' + after
    assert proving._verdict(Ended(0, said, b"")) == ""


@pytest.mark.parametrize("said", [b"", b"\n", b"no result", b'{"healthy": tr', b"0", b"{}"])
def test_proof_without_a_result_says_nothing_about_the_model(said):
    with pytest.raises(OSError, match="the proof gave no result"):
        proving._verdict(Ended(0, said, b""))


def test_longest_reason_of_a_proof_fits_into_what_is_kept():
    reason = prover.printable('"\u2028\x01' * 1000)[: prover.MAX_REASON]
    assert len(json.dumps({"reason": reason})) < MAX_TAIL_BYTES - 200


def test_version_and_free_ram_are_of_this_machine():
    runtime = LiteRT()
    assert runtime.name in litert.RUNTIMES
    assert runtime.version.count(".") == 2
    assert DeviceRuntimes().free_ram() > 1_000_000
    assert DeviceRuntimes(ram_bytes=65536).free_ram() == 65536


def test_missing_runtime_says_what_to_install(monkeypatch):
    monkeypatch.setattr(litert, "RUNTIMES", ("no-such-runtime", "nor-this"))
    with pytest.raises(ProofError, match=r"pip install 'modelwave-agent\[tflite\]'"):
        LiteRT()


def test_successor_is_taken_where_the_older_is_not_installed(monkeypatch):
    installed = LiteRT().name
    monkeypatch.setattr(litert, "RUNTIMES", ("no-such-runtime", installed))
    assert LiteRT().name == installed


def test_missing_accelerator_library_is_said_at_once(monkeypatch):
    monkeypatch.setattr(accelerators, "EDGETPU_LIBRARY", "libno-such-thing.so.1")
    with pytest.raises(ProofError, match=r"accelerator's library.*libno-such-thing"):
        DeviceRuntimes(RuntimeSettings("edgetpu"))


# Verdicts.


def test_good_model_is_healthy():
    assert prove() == ""


def test_model_that_fails_its_labels_is_unhealthy():
    assert "labels right" in prove(V3, LABELS_GOLDEN, LABELS)


def test_outputs_of_another_model_are_unhealthy():
    assert "off by more than 1 steps" in prove(V3)


def test_golden_set_of_another_shape_is_unhealthy(tmp_path):
    other = tmp_path / "other.golden"
    other.write_bytes(golden.pack("o", "b", "b", [bytes(65)], [bytes(10)]))
    assert "the set's input has 65 elements, and the model's input pictures 64" in prove(
        golden_file=other
    )
    other.write_bytes(golden.pack("o", "b", "b", [bytes(64)], [bytes(11)]))
    assert "the set's output has 11 elements" in prove(golden_file=other)


@pytest.mark.parametrize("kind", ["o", "l"])
@pytest.mark.parametrize(("given", "output"), [("B", "b"), ("b", "B")])
def test_golden_set_of_other_types_is_unhealthy(tmp_path, kind, given, output):
    """Labels read as uint8 of an int8 model, for one."""
    other = tmp_path / "other.golden"
    expected, types = ([0], (output, 10)) if kind == "l" else ([bytes(10)], output)
    other.write_bytes(golden.pack(kind, given, types, [bytes(64)], expected))
    tolerance = LABELS if kind == "l" else {"kind": "outputs", "steps": {"any": 255}}
    what = "input" if given == "B" else "output"
    assert f"the set's {what} has uint8, and the model's {what} " in prove(
        golden_file=other, tolerance=tolerance
    )


def npz(path, **changes):
    """v2's golden set as an archive."""
    data = np.frombuffer(Path(V2_GOLDEN).read_bytes()[20:], "|i1").reshape(-1, 74)
    arrays = {"inputs/pictures": data[:, :64], "outputs/classes": data[:, 64:]}
    np.savez_compressed(path, **arrays | changes)
    return path


def tensors(**rule):
    rule = {"judge": "elements", "absolute": {"any": 1}} | rule
    return {"kind": "tensors", "outputs": {"classes": rule}}


def test_archive_judges_as_the_binary_form(tmp_path):
    archive = npz(tmp_path / "set.npz")
    assert prove(golden_file=archive, tolerance=tensors()) == ""
    assert "records are off by more than 1 step on " in prove(V3, archive, tensors())
    assert "tolerance.kind is outputs, and the golden set needs tensors" in prove(
        golden_file=archive
    )
    wrong = np.zeros((32, 10), "<i8")
    other = npz(tmp_path / "other.npz", **{"outputs/classes": wrong})
    assert "outputs/classes has int64, and the model's output int8" in prove(
        golden_file=other, tolerance=tensors()
    )


def test_golden_set_that_is_none_or_cut_off_is_unhealthy(tmp_path):
    other = tmp_path / "other.golden"
    for data in (b"", b"MWG2" + bytes(100), Path(V2_GOLDEN).read_bytes()[:-1]):
        other.write_bytes(data)
        assert prove(golden_file=other).startswith("golden: ")


def test_tolerance_of_the_other_kind_is_unhealthy():
    assert "tolerance.kind" in prove(tolerance=LABELS)


def test_garbage_model_is_unhealthy(tmp_path):
    model = tmp_path / "garbage.tflite"
    model.write_bytes(b"\x1c\0\0\0TFL3" + bytes(range(256)) * 20)
    assert prove(model)


def pretend(monkeypatch, code):
    """Runs this program in place of the one that runs golden sets."""
    monkeypatch.setattr(proving, "PROVE", (sys.executable, "-c", f"import os, time\n{code}"))


def test_model_that_crashes_its_runtime_is_unhealthy(monkeypatch):
    pretend(monkeypatch, "os.kill(os.getpid(), 11)")
    assert prove() == "proof: the model crashed its runtime (SIGSEGV)"
    pretend(monkeypatch, "os.abort()")
    assert prove() == "proof: the model crashed its runtime (SIGABRT)"


@contextlib.asynccontextmanager
async def hanging(monkeypatch, tmp_path, proof_seconds=60):
    """The task of a proof that hangs, which is killed by the end."""
    told = tmp_path / "told"
    os.mkfifo(told)
    pretend(monkeypatch, f"file = open({str(told)!r}, 'wb', 0); file.write(b'x'); time.sleep(60)")
    runtimes = DeviceRuntimes(proof_seconds=proof_seconds)
    manifest = {"format": "tflite", "tolerance": OUTPUTS}
    proof = asyncio.create_task(runtimes.prove(V2, V2_GOLDEN, manifest))
    reading = await asyncio.to_thread(os.open, told, os.O_RDONLY)
    assert await asyncio.to_thread(os.read, reading, 1) == b"x"
    yield proof
    os.set_blocking(reading, False)
    assert os.read(reading, 1) == b"", "it is still open there"
    os.close(reading)


def test_model_that_hangs_is_unhealthy_and_killed(monkeypatch, tmp_path):
    async def main():
        hand = Hand()
        async with hanging(monkeypatch, tmp_path, proof_seconds=30) as proof:
            await hand.move(30)
            assert await proof == "proof: no result within 30 seconds"

    asyncio.run(main())


def test_cancelled_proof_is_killed(monkeypatch, tmp_path):
    async def main():
        async with hanging(monkeypatch, tmp_path) as proof:
            proof.cancel()
            with pytest.raises(asyncio.CancelledError):
                await proof

    asyncio.run(main())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_proof_that_was_ended_from_outside_does_not_condemn_the_model(monkeypatch, number):
    pretend(
        monkeypatch,
        f"import signal; signal.signal({int(number)}, signal.SIG_DFL)\n"
        f"os.kill(os.getpid(), {int(number)})",
    )
    with pytest.raises(OSError, match="ended from outside"):
        prove()


def test_proof_that_memory_ran_out_for_does_not_condemn_the_model(monkeypatch):
    pretend(monkeypatch, "os.kill(os.getpid(), 9)")
    with pytest.raises(MemoryError):
        prove()


def test_proof_that_could_not_be_made_does_not_condemn_the_model(monkeypatch):
    with pytest.raises(OSError, match="No such file"):
        prove(golden_file="/nowhere/golden")
    monkeypatch.setattr(proving, "PROVE", ("/nowhere/python",))
    with pytest.raises(OSError, match="No such file"):
        prove()


# The program, as the controller calls it.


def test_program_prints_one_json_line():
    done = program("--model", V2, "--golden", V2_GOLDEN, "--tolerance", json.dumps(OUTPUTS))
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1
    runtime = LiteRT()
    assert json.loads(done.stdout) == {
        "healthy": True,
        "reason": "",
        "runtime": runtime.name,
        "version": runtime.version,
    }


def test_program_judges_an_unhealthy_model_with_exit_code_0():
    done = program("--model", V3, "--golden", LABELS_GOLDEN, "--tolerance", json.dumps(LABELS))
    assert done.returncode == 0
    judgement = json.loads(done.stdout)
    assert judgement["healthy"] is False
    assert "labels right" in judgement["reason"]


def test_program_that_cannot_judge_says_why_on_one_line():
    done = program("--model", "/nowhere", "--golden", V2_GOLDEN, "--tolerance", json.dumps(OUTPUTS))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "prove: [Errno 2] No such file or directory: '/nowhere'\n"


@pytest.mark.parametrize(
    "tolerance",
    [
        "",
        "{",
        "[]",
        "null",
        '{"kind":"labels"}',
        '{"kind":"outputs","steps":{}}',
        "NaN",
        '{"kind":"labels","least_ppm":true}',
        '{"kind":"labels","least_ppm":1000001}',
    ],
)
def test_program_called_wrongly_exits_with_2(tolerance):
    done = program("--model", V2, "--golden", V2_GOLDEN, "--tolerance", tolerance)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--tolerance" in done.stderr


def test_program_left_alone_ends_by_its_alarm(tmp_path):
    """Its parent was killed, so nobody is there to end it: the golden set never comes."""
    fifo = tmp_path / "golden"
    os.mkfifo(fifo)
    done = program(
        "--model", V2, "--golden", str(fifo), "--tolerance", json.dumps(OUTPUTS), "--seconds", "0.5"
    )
    assert done.returncode == -signal.SIGALRM
