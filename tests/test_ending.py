"""Tests that a long command of the tests which is ended from outside ends in order, and is no
success."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.disk import sqlite
from tests.ending import INTERRUPTED
from tests.histories import command as histories
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


def test_a_sweep_that_was_ended_before_its_end_is_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing bad was seen in what it did not do."""
    sigint = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(histories, "_played", _interrupted)
    monkeypatch.setattr(histories.logging, "disable", lambda _level: None)
    monkeypatch.setattr(mutation, "_mutated", _interrupted)
    monkeypatch.setattr(mutation, "prepare", lambda: None)
    monkeypatch.setattr(sqlite, "Recording", _interrupted)
    monkeypatch.setattr(sys, "argv", ["a command"])
    try:
        codes = [one.main() for one in (histories, mutation, sqlite)]
    finally:
        signal.signal(signal.SIGINT, sigint)
    assert codes == [INTERRUPTED] * 3
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in said[1::2]] == [
        "histories",
        "mutants",
        "SQLite on the disk that forgets",
    ]
