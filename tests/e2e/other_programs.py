"""Programs that are not the present one, such as a release that is kept: a service, a command line
and agents that run their sources."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from modelwave_controller.demo.command import CommandLine
from modelwave_controller.demo.processes import CONTROLLER, Processes


class Program:
    """`sources`: what stands before a board's sys.path; `prefix`: before a host's command."""

    def __init__(self, *sources: Path) -> None:
        self.sources = sources
        path = ":".join(map(str, sources))
        self.prefix = ["env", "-u", "PYTHONDONTWRITEBYTECODE", f"PYTHONPATH={path}"]

    def operator(self, home: Path) -> CommandLine:
        return _CommandLine(home, self.prefix)


class Prefixed:
    """Starts what is asked for among `running`, with `prefix` before each command."""

    def __init__(self, running: Processes, prefix: Sequence[str]) -> None:
        self.running = running
        self.prefix = prefix

    def start(self, name: str, command: Sequence[str]) -> None:
        self.running.start(name, [*self.prefix, *command])


class _CommandLine(CommandLine):
    """Types the commands of a program that is not this process's."""

    def __init__(self, home: Path, prefix: Sequence[str]) -> None:
        super().__init__(home, self._run_there)
        self.prefix = prefix

    def command(self, arguments: Sequence[str]) -> list[str]:
        return [*self.prefix, *super().command(arguments)]

    def _run_there(self, arguments: Sequence[str]) -> int:
        command = [*self.prefix, *CONTROLLER, *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        print(done.stdout, end="")
        print(done.stderr, end="", file=sys.stderr)
        return done.returncode
