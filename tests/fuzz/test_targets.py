"""The everyday part of the fuzzers: each target reads its seeds, its corpus, and changes of both.
That needs no atheris, which alone knows what places of the product an input reaches."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ending import INTERRUPTED
from tests.fuzz import command, running, scratch
from tests.fuzz.mutations import changed_bytes
from tests.fuzz.running import ROOT, fuzz
from tests.fuzz.shapes import ODD, SHAPES, changed
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

CHANGED = 150  # of each target, besides those of hypothesis

each_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


@each_target
def test_valid_inputs_are_taken_others_refused_and_none_is_a_finding(target: Target) -> None:
    assert all(target.run(seed) for seed in target.seeds())
    assert not target.run(b"\xff")
    for data in target.kept():
        target.run(data)


@each_target
def test_inputs_of_which_some_bytes_are_others(target: Target) -> None:
    draw = Random(target.name)
    inputs = [*target.seeds(), *target.kept()]
    for _ in range(CHANGED):
        target.run(changed_bytes(draw.choice(inputs), draw.choice(inputs), draw)[: target.longest])


@pytest.mark.parametrize(
    "target", [pytest.param(one, id=one.name) for one in TARGETS.values() if one.shape]
)
def test_inputs_that_are_changed_and_keep_their_shape(target: Target) -> None:
    inputs = [*target.seeds(), *target.kept()]
    change = SHAPES[target.shape]

    @settings(max_examples=CHANGED, deadline=None)
    @given(st.sampled_from(inputs), st.randoms(use_true_random=False))
    def each(data: bytes, draw: Random) -> None:
        made = change(data, target.longest, draw)
        if made is not None:
            target.run(made)

    each()


@pytest.mark.slow
def test_short_run_ends_with_one_line() -> None:
    pytest.importorskip("atheris", reason="no fuzzing without it: the extra dev has it on Linux")
    done = _fuzz("envelope", "json", "--runs", "3000", "--seed", "1")
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "fuzz: 2 targets, 6,000 runs, 0 findings"


@pytest.mark.slow
def test_ctrl_c_says_what_was_done_and_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="no fuzzing without it: the extra dev has it on Linux")
    with _started("line-messages", folder=tmp_path) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert first.startswith("  line-messages: ")
    assert process.returncode == INTERRUPTED
    told, last = rest.splitlines()[-2:]
    assert told.endswith("; interrupted")
    assert re.fullmatch(r"fuzz: 1 targets, [1-9][\d,]* runs, 0 findings", last)
    assert not list(tmp_path.iterdir())


def test_process_that_fails_counts_as_a_finding(tmp_path: Path) -> None:
    target = TARGETS["gate"]._replace(name="no such target")
    ended = fuzz(target, tmp_path, runs=1, seconds=0, seed=1)
    assert "the process failed beside the reader" in ended.finding


@pytest.mark.parametrize(
    ("code", "is_finding"),
    [(-signal.SIGTERM, False), (-signal.SIGKILL, False), (72, False), (-signal.SIGSEGV, True)],
)
def test_process_that_a_signal_has_ended_is_no_finding_unless_it_crashed(
    code: int, is_finding: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_run", lambda *_: (code, running._Course("gate"), False))
    ended = fuzz(TARGETS["gate"], tmp_path, runs=1, seconds=0, seed=1)
    assert bool(ended.finding) == is_finding
    assert ended.line().endswith("; its process was ended by a signal") != is_finding


def test_run_in_which_a_process_was_ended_is_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("atheris", reason="no fuzzing without it: the extra dev has it on Linux")
    ended = running.Ended(TARGETS["gate"], 7, 1.0, cut_off=running.BY_SIGNAL)
    monkeypatch.setattr(command, "fuzz", lambda *_: ended)
    monkeypatch.setattr(sys, "argv", ["fuzz", "gate"])
    assert command.main() == 1
    assert capsys.readouterr().out.splitlines()[-1] == "fuzz: 1 targets, 7 runs, 0 findings"


def _started(*arguments: str, folder: Path | None = None) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz", *arguments],
        cwd=ROOT,
        env={**os.environ, **({scratch.FOLDER: str(folder)} if folder else {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _fuzz(*arguments: str) -> "subprocess.CompletedProcess[str]":
    with _started(*arguments) as process:
        said, _ = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, said)


def test_unknown_target_is_named() -> None:
    done = _fuzz("nonsense")
    assert done.returncode == 2
    assert "nonsense: no such target; there are " in done.stdout


def test_product_is_imported_by_the_targets_alone() -> None:
    """What is imported before them, the fuzzer does not follow."""
    program = (
        "import sys, tests.fuzz.targets; print([one for one in sys.modules if 'modelwave' in one])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_docs_name_every_target() -> None:
    told = (ROOT / "docs" / "testing.md").read_text()
    assert [name for name in TARGETS if f"| {name} |" not in told] == []


def test_a_change_leaves_the_odd_values_for_the_next_one_as_they_are() -> None:
    before, draw = repr(ODD), Random(1)
    for _ in range(1000):
        changed({"a": [1]}, draw)
    assert repr(ODD) == before
