"""The real agents of the day: `modelwave-agent run` on CPython, and boards on MicroPython, each a
process with the day's clock."""

import json
import signal
import sys
from pathlib import Path

from tests import micropython
from tests.day.releases import BOARD, HOST

ROOT = Path(__file__).parents[2]
BOARD_HEAP = "192064"  # of a Pico W (targets.toml)
BOARD_PATH = [ROOT / "shared", ROOT / "agent", ROOT / "examples/digits/board"]


class RealAgent:
    """Its state outlives its processes. `unwell`: the file with the numbers of releases with which
    its program fails."""

    def __init__(self, running, folder, place, clock, root, port, files, unwell):
        """`place`: in the clock's file."""
        self.running = running
        self.place = place
        self.name = f"{self.prefix}{place}"
        self.folder = folder / self.name
        self.folder.mkdir()
        self.command = self._command(clock, root, port, files, unwell)

    def start(self):
        if self.name not in self.running.running:
            self.running.start(self.name, self.command)

    def stop(self, how=signal.SIGTERM):
        """Ends it in order, or kills it."""
        process = self.running.running.pop(self.name, None)
        if process:
            process.send_signal(how)
            process.wait()

    @property
    def lives(self):
        process = self.running.running.get(self.name)
        return process is not None and process.poll() is None


class HostAgent(RealAgent):
    target, prefix = HOST, "pi-"

    def _command(self, clock, root, port, files, unwell):
        health = [
            "sh",
            "-c",
            f'! grep -qx "$MODELWAVE_RELEASE" {unwell} || {{ echo unwell; false; }}',
        ]
        path = self.folder / "agent.toml"
        path.write_text(
            f'device = "{self.name}"\ntarget = "{HOST}"\nmodels = ["digits"]\n'
            f'state = "{self.folder / "state"}"\nroot = "{root}"\n'
            f'[broker]\nurl = "mqtt://127.0.0.1:{port}"\n'
            f'[download]\nhosts = ["{files}"]\n'
            f"[hooks]\nhealth = {json.dumps(health)}\n"
        )
        shifted = [sys.executable, "-m", "tests.day.shifted", str(clock), str(self.place)]
        return [*shifted, "modelwave_agent.host.daemon", "run", "--config", str(path)]


class BoardAgent(RealAgent):
    target, prefix = BOARD, "pico-"

    def _command(self, clock, root, port, _files, unwell):
        settings = {
            "path": [str(path) for path in BOARD_PATH],
            "clock": str(clock),
            "place": self.place,
            "device": self.name,
            "target": BOARD,
            "port": port,
            "root": str(root),
            "folder": str(self.folder / "state"),
            "unwell": str(unwell),
        }
        path = self.folder / "settings.json"
        path.write_text(json.dumps(settings))
        program = Path(__file__).with_name("board.py")
        return micropython.command(program, path, heap=BOARD_HEAP)
