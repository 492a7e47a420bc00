"""Tests that a long command of the tests which is ended from outside ends in order, and is no
success."""

import asyncio
import logging
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from modelwave_controller.interruption import Interrupted
from tests import sweeps
from tests.board.sweep import command as boards
from tests.day import __main__ as day
from tests.day import floods
from tests.disk import command as disk
from tests.disk import sqlite
from tests.ending import INTERRUPTED, loading
from tests.faults import command as faults
from tests.fuzz import command as fuzz
from tests.fuzz import running
from tests.fuzz.targets import TARGETS
from tests.heal import command as heal
from tests.histories import command as histories
from tests.inject import command as inject
from tests.judge import __main__ as judge
from tests.mutation import __main__ as mutation

TOP = Path(__file__).parents[1]
LONG = """
import time
from tests.ending import end_at_sigterm, was_sigterm
end_at_sigterm()
try:
    print("begun", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("in order" if was_sigterm() else "by Ctrl-C")
"""


ASKED = """
import signal
from tests.ending import asked_to_end
check = asked_to_end()
check()
signal.raise_signal(signal.{})
print("the life goes on")
try:
    check()
except KeyboardInterrupt:
    print("between two lives")
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_command_of_many_short_lives_ends_between_two(name: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", ASKED.format(name)],
        cwd=TOP,
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert (ran.stdout, ran.stderr) == ("the life goes on\nbetween two lives\n", "")


@pytest.mark.parametrize("by", [[], ["env", "--ignore-signal=INT"]], ids=["shell", "script"])
def test_sigterm_ends_a_command_as_ctrl_c_does(by: list[str]) -> None:
    command = [*by, sys.executable, "-c", LONG]
    with subprocess.Popen(command, cwd=TOP, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "in order\n"
    assert process.returncode == 0


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def _ended_by_a_signal(*_: object) -> None:
    raise Interrupted(signal.SIGINT)


async def _cancelled(*_: object) -> None:
    raise asyncio.CancelledError


def _fuzzed(*_: object) -> running.Ended:
    return running.Ended(TARGETS["gate"], 7, 1.0, cut_off=running.BY_CTRL_C)


# Of each command, what does its work, what comes in its place, and its last line.
COMMANDS = {
    boards: (boards.Runs, "all", _interrupted, "littlefs: 0 single cuts, "),
    day: (day, "play", _cancelled, "day: 0 h, "),
    disk: (disk, "_sweep", _interrupted, "disk: 0 single "),
    faults: (faults, "run", _interrupted, "faults: 0 of 0 caught"),
    floods: (floods, "scene", _ended_by_a_signal, "floods: 0 of 60 s, "),
    fuzz: (fuzz, "fuzz", _fuzzed, "fuzz: 1 targets, 7 runs, 0 findings"),
    heal: (heal, "played", _interrupted, "ended by Ctrl-C; no rule was broken"),
    histories: (histories, "_played", _interrupted, "histories: 0 histories, "),
    inject: (inject.Run, "all", _interrupted, "injected: 0 points "),
    judge: (judge, "_told", _interrupted, "ended by Ctrl-C"),
    mutation: (mutation, "_mutated", _interrupted, "mutants: 0 of 0 killed"),
    sqlite: (sqlite, "Recording", _interrupted, "SQLite on the disk that forgets: 0 cuts, "),
    sweeps: (sweeps, "_run", _interrupted, "sweeps: 0 of 0 without a fault; ended by Ctrl-C, "),
}


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What commands do to their own process is not done to that of the tests."""
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(logging, "disable", lambda _level: None)
    monkeypatch.setattr(mutation, "prepare", lambda: None)
    monkeypatch.setattr(boards.compiled, "program", lambda _folder, _name: None)
    monkeypatch.setattr(inject, "why_not", lambda: "")
    monkeypatch.setattr(sys, "argv", ["a command"])
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    "command", [pytest.param(one, id=one.__name__.removeprefix("tests.")) for one in COMMANDS]
)
def test_a_sweep_that_was_ended_before_its_end_is_no_success(
    command: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing bad was seen in what it did not do, and what it did is told."""
    if command is fuzz:
        pytest.importorskip("atheris", reason="no fuzzing without it: dev has it on Linux")
    owner, name, interrupted, last = COMMANDS[command]
    monkeypatch.setattr(owner, name, interrupted)
    assert command.main() == INTERRUPTED
    told = capsys.readouterr().out
    assert told.splitlines()[-1].startswith(last)
    assert "bad: " not in told


def test_ctrl_c_while_imports_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, loading("target"):
        raise KeyboardInterrupt
    assert ended.value.code == INTERRUPTED
    assert capsys.readouterr().err == "ended by Ctrl-C before the first target\n"
