"""Programs that are one format version ahead: a copy of the sources with a few lines changed, for
hosts and boards, and a command line that runs it."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from shutil import copytree

from modelwave_controller.demo.command import CommandLine
from modelwave_controller.demo.processes import CONTROLLER
from tests.e2e.conftest import REPO

ROOTS = ("shared", "agent", "controller")
WORDS = "shared/modelwave_shared/words.py"
READS_TWO_FORMATS = (WORDS, "MANIFEST: 2, ORDER: 2,", "MANIFEST: 3, ORDER: 3,")
WRITES_THE_SECOND = (WORDS, "WRITES = {MANIFEST: 1, ORDER: 1,", "WRITES = {MANIFEST: 3, ORDER: 3,")
SIGNS_MORE = (
    "controller/modelwave_controller/trust/documents.py",
    "return document | (",
    'return document | {"extra": {"site": "north", "battery": {"least_percent": 20}}} | (',
)
SAYS_MORE = (
    "agent/modelwave_agent/numbering.py",
    '{"boot": self.boot, "n": self.n}',
    '{"boot": self.boot, "n": self.n, "extra": {"mood": "good"}}',
)


class NextYear:
    """`sources`: what stands before a board's sys.path; `prefix`: before a host's command."""

    def __init__(self, folder: Path, *changes: tuple[str, str, str]) -> None:
        """`changes`: (file, what stands there today, what will)."""
        for root in ROOTS:
            copytree(REPO / root, folder / root)
        for name, old, new in changes:
            text = (folder / name).read_text()
            assert text.count(old) == 1, (name, old)
            (folder / name).write_text(text.replace(old, new))
        self.sources = [folder / root for root in ROOTS]
        path = ":".join(map(str, self.sources))
        self.prefix = ["env", "-u", "PYTHONDONTWRITEBYTECODE", f"PYTHONPATH={path}"]

    def operator(self, home: Path) -> CommandLine:
        return _CommandLine(home, self.prefix)


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
