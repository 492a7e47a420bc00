"""Runs tests in a tree, with and without a fault in it."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.faults import told
from tests.faults.entries import Fault
from tests.faults.tree import Tree

PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", told.__name__)
FAILED = 1  # pytest's exit code
END_SECONDS = 10
PASSED = "passed"


class Result(NamedTuple):
    """`test`: the one that has failed, "" if none has; else `said` is what pytest said last."""

    fault: Fault
    test: str
    seconds: float
    said: str = ""


class Runner:
    """Runs pytest. `stop`, of another thread, ends what runs, and nothing is run after it."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self.is_stopped = False

    def not_green(self, tree: Tree, tests: Iterable[str]) -> list[str]:
        """Returns those of the tests that do not pass in this tree, or are skipped."""
        wanted = sorted(set(tests))
        _, found, _ = self._run(tree.environment(keeps_bytecode=True), tree, wanted)
        return [test for test in wanted if not _is_green(test, found)]

    def judge(self, tree: Tree, fault: Fault, all_tests: bool = False) -> Result:
        """Puts the fault in, and runs its test; if that does not see it, and `all_tests`, all."""
        begin = time.monotonic()
        with tree.having(fault):
            environment = tree.environment(keeps_bytecode=False)
            test, said = self._failing(environment, tree, [fault.test])
            if not test and all_tests:
                test, said = self._failing(environment, tree, [])
        return Result(fault, test, time.monotonic() - begin, said)

    def stop(self) -> None:
        with self._lock:
            self.is_stopped = True
            for process in self._running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGINT)  # pytest ends what its tests have started

    def _failing(
        self, environment: dict[str, str], tree: Tree, tests: Sequence[str]
    ) -> tuple[str, str]:
        code, found, said = self._run(environment, tree, ["-x", *tests])
        failed = [test for outcome, test in found if outcome == "failed"]
        return (failed[0], "") if code == FAILED and failed else ("", said)

    def _run(
        self, environment: dict[str, str], tree: Tree, arguments: Sequence[str]
    ) -> tuple[int, list[tuple[str, str]], str]:
        """Returns pytest's exit code, (outcome, test) of each test, and its last line."""
        with tempfile.NamedTemporaryFile("r", dir=tree.top.parent) as file:
            with self._lock:
                if self.is_stopped:
                    return -1, [], "stopped"
                process = subprocess.Popen(
                    [*PYTEST, *arguments],
                    cwd=tree.top,
                    env={**environment, told.FILE: file.name},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    start_new_session=True,
                )
                self._running.add(process)
            output = self._output(process)
            found = [tuple(line.rstrip("\n").split(" ", 1)) for line in file]
        return process.returncode, found, (output.strip().splitlines() or [""])[-1]

    def _output(self, process: "subprocess.Popen[str]") -> str:
        """Waits for the end of pytest; returns what it has printed."""
        try:
            return process.communicate()[0]
        except BaseException:
            self.stop()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_SECONDS)
            raise
        finally:
            with self._lock:
                self._running.discard(process)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # what its tests have left


def _is_green(test: str, found: Iterable[tuple[str, str]]) -> bool:
    outcomes = [how for how, one in found if one == test or one.startswith(f"{test}[")]
    return bool(outcomes) and all(how == PASSED for how in outcomes)


def python_paths(tree: Tree) -> list[Path]:
    """Returns where a program of this tree has the product's packages from."""
    names = ("modelwave_shared", "modelwave_agent", "modelwave_controller")
    code = f"import {', '.join(names)}\nfor one in ({', '.join(names)}): print(one.__file__)"
    command = [sys.executable, "-c", code]
    environment = tree.environment(keeps_bytecode=True)
    done = subprocess.run(
        command, env=environment, cwd=tree.top, check=True, capture_output=True, text=True
    )
    return [Path(line) for line in done.stdout.splitlines()]
