"""Runs the long forms of tests with pytest, in a process group of its own, and passes its output
on."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
END_SECONDS = 10


def run(files: Iterable[str], hear: Callable[[str], object]) -> int:
    """Returns pytest's exit code; `hear` gets each line of its output."""
    command = [sys.executable, "-m", "pytest", "-vs", "-p", "no:cacheprovider", "--timeout=0"]
    with subprocess.Popen(
        [*command, *files],
        cwd=ROOT,
        env={**os.environ, "MODELWAVE_LONG": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                hear(line)
                print(line, end="", flush=True)
            return process.wait()
        except BaseException:
            _end(process)
            raise


def _end(process: "subprocess.Popen[str]") -> None:
    """Ends pytest and what it started: as Ctrl-C would, and then for sure."""
    for number in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
