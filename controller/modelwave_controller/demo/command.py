"""The demo's operator: types `modelwave` commands, in processes of their own."""

import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from modelwave_controller.cli.output import safe, say
from modelwave_controller.demo.processes import CONTROLLER
from modelwave_controller.errors import StorageError

PASSPHRASE = "demo only"
POLL_SECONDS = 0.3
LONGEST_WAIT_SECONDS = 60


class Operator:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {**os.environ, "MODELWAVE_PASSPHRASE": PASSPHRASE}

    def shows(self, *arguments: str) -> int:
        """Runs a command in sight: what was typed, then what it prints. Its exit code."""
        say(f"[bold]$ modelwave {safe(shlex.join(arguments))}[/]")
        return subprocess.run(self.command(arguments), env=self.environment, check=False).returncode

    def asks(self, *arguments: str) -> Any:
        """What a command prints with --json. Raises StorageError if it fails."""
        done = subprocess.run(
            self.command([*arguments, "--json"]),
            env=self.environment,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise StorageError(f"modelwave {shlex.join(arguments)}: {done.stderr.decode()}")
        return json.loads(done.stdout)

    def tries(self, *arguments: str) -> str:
        """The error of a command that is expected to fail; "" if it did not."""
        done = subprocess.run(
            self.command(arguments), env=self.environment, capture_output=True, check=False
        )
        return done.stderr.decode().strip() if done.returncode else ""

    def waits(self, asked: Sequence[str], until: Callable[[Any], bool]) -> Any:
        """Asks again until the answer will do, or LONGEST_WAIT_SECONDS are over; the last."""
        deadline = time.monotonic() + LONGEST_WAIT_SECONDS
        while True:
            found = self.asks(*asked)
            if until(found) or time.monotonic() > deadline:
                return found
            time.sleep(POLL_SECONDS)

    def command(self, arguments: Sequence[str]) -> list[str]:
        return [*CONTROLLER, "--home", str(self.home), *arguments]
