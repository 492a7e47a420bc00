"""A board that is only flashed: the commands are a function here, the board has no boot loader."""

import json
import sys
from pathlib import Path

from modelwave_agent.host.carried.commands import CommandCarrier, Commands
from modelwave_agent.host.process import Ended
from tests import signing
from tests.agent.carried_world import FIRST, CarriedWorld, FakeBoard
from tests.agent.fakes import FakeJournal

PROGRAM = sys.executable  # any program that is there: it never runs


class FlashedBoard(FakeBoard):
    """Runs what was written last, and that stays."""

    def reset(self):
        pass


class CommandWorld(CarriedWorld):
    has_state = True

    def __init__(self, folder, keeps_removals=True):
        super().__init__(folder, keeps_removals)
        self.board = FlashedBoard()
        self.factory = Path(self.folder + "-factory.bin")
        self.factory.write_bytes(FIRST)
        self.ran = []  # the commands
        self.says = {}  # what the state command prints besides the file

    def carrier_class(self, _world):
        commands = Commands(
            write=(PROGRAM, "write", "{file}"),
            health=(PROGRAM, "health", "{golden}"),
            state=(PROGRAM, "state") if self.has_state else (),
            write_seconds=60,
            health_seconds=60,
            state_seconds=60,
            flash_bytes=100_000,
            ram_bytes=50_000,
            kernels=None,
            runtime="tflite",
            runtime_version="2.14.0",
            factory=str(self.factory),
        )
        journal = FakeJournal(self, self.folder, "flashed")
        return CommandCarrier(commands, journal, run=self.run)

    async def run(self, command, env):
        _, name, *words = command
        torn = self._tear if name == "write" else None
        return self.call(lambda: self._run(name, words), torn)

    def _tear(self):
        self.board.runs = "torn"

    def _run(self, name, words):
        self.ran.append([name, *words])
        what = self.trouble_now()
        if what in ("deaf", "reset before") or not self.board.is_plugged_in:
            return Ended(75, b"", b"no answer\n")
        ended = getattr(self, "_" + name)(*words)
        is_mute = what in ("mute", "reset after")
        return Ended(75, b"", b"no answer\n") if is_mute else ended

    def _write(self, path):
        data = Path(path).read_bytes()
        self.board.runs = signing.sha(data)
        self.board.files[self.board.runs] = data
        self.board.flashed.append(self.board.runs)
        return Ended(0, b"", b"")

    def _health(self, golden):
        if not Path(golden).is_file():
            self.fault(f"there is no golden set {golden}")
        runs = self.board.runs
        bad = self.board.files.get(runs, b"")[:3] == b"BAD" or runs in self.unwell
        return Ended(1, b"", b"first line\noff\n") if bad else Ended(0, b"", b"")

    def _state(self):
        runs = self.board.runs if self.board.runs != "torn" else ""
        return Ended(0, json.dumps({"sha256": runs, **self.says}).encode(), b"")


class BlindWorld(CommandWorld):
    """The same without a state command."""

    has_state = False
