"""The demo's operator: runs `modelwave` commands visibly, and reads the JSON of others."""

import contextlib
import io
import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from modelwave_controller.demo.processes import CONTROLLER
from modelwave_controller.errors import StorageError
from modelwave_controller.interruption import ENDING, Interrupted
from modelwave_controller.terminal import safe, say

PASSPHRASE_VARIABLE = "MODELWAVE_PASSPHRASE"
PASSPHRASE = "demo only"
POLL_SECONDS = 0.3
LONGEST_WAIT_SECONDS = 60


class CommandLine:
    def __init__(self, home: Path, run: Callable[[Sequence[str]], int]) -> None:
        """Takes `run`, which runs a command line in this process and returns its exit code."""
        self.home = home
        self._run = run
        self.environment = {**os.environ, PASSPHRASE_VARIABLE: PASSPHRASE}

    def shows(self, *arguments: str) -> int:
        """Prints a command, runs it with its output visible, and returns its exit code."""
        say(f"[bold]$ modelwave {safe(shlex.join(arguments))}[/]")
        return subprocess.run(self.command(arguments), env=self.environment, check=False).returncode

    def asks(self, *arguments: str) -> Any:
        """Returns what a command prints with --json. Raises StorageError if it fails."""
        return json.loads(self._json(arguments))

    def reads(self, *arguments: str) -> list[Any]:
        """Returns the lines of JSON that a command prints. Raises StorageError if it fails."""
        return [json.loads(line) for line in self._json(arguments).splitlines()]

    def tries(self, *arguments: str) -> str:
        """Returns the error of a command that is expected to fail; "" if it did not fail."""
        code, _, err = self._run_here(arguments)
        return err.strip() if code else ""

    def waits(self, asked: Sequence[str], until: Callable[[Any], bool]) -> Any:
        """Repeats a command until `until` accepts its answer, or for LONGEST_WAIT_SECONDS;
        returns the last answer."""
        deadline = time.monotonic() + LONGEST_WAIT_SECONDS
        while True:
            found = self.asks(*asked)
            if until(found) or time.monotonic() > deadline:
                return found
            time.sleep(POLL_SECONDS)

    def command(self, arguments: Sequence[str]) -> list[str]:
        return [*CONTROLLER, "--home", str(self.home), *arguments]

    def _json(self, arguments: Sequence[str]) -> str:
        code, out, err = self._run_here([*arguments, "--json"])
        if code:
            raise StorageError(f"modelwave {shlex.join(arguments)}: {err}")
        return out

    def _run_here(self, arguments: Sequence[str]) -> tuple[int, str, str]:
        """Runs a command in this process and returns (exit code, stdout, stderr). Starting a
        process for each command would take most of the demo's time. Raises Interrupted if a signal
        has ended it, which is for the demo."""
        out, err = io.StringIO(), io.StringIO()
        before = os.environ.get(PASSPHRASE_VARIABLE)
        os.environ[PASSPHRASE_VARIABLE] = PASSPHRASE
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = self._run(["--home", str(self.home), *arguments])
        finally:
            if before is None:
                del os.environ[PASSPHRASE_VARIABLE]
            else:
                os.environ[PASSPHRASE_VARIABLE] = before
        if code - 128 in ENDING:
            raise Interrupted(code - 128)
        return code, out.getvalue(), err.getvalue()
