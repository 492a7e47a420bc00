"""Boards without a network and their gateway: MicroPython, with its code in ROMFS, on a
pseudo-terminal, and the real gateway on its other end."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import termios
import time
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelwave_controller.boards import compiling, package, romfs
from modelwave_controller.demo.processes import AGENT
from tests import micropython
from tests.e2e.conftest import REPO, House

HEAP = "144k"  # the runtime of the example, in plain Python, takes more of it than the agent
TARGET = "rp2040"
GATEWAY = "gw-1"
PROGRAMS = REPO / "tests/board/programs"
SOURCES = (PROGRAMS / "relay_board.py", REPO / "examples/digits/board/tflite_dense.py")
SECONDS = 60


def image(folder: Path) -> Path:
    """The ROMFS of all boards: the agent with all its parts, and their program."""
    files = package.modules_of(package.build())
    for source in SOURCES:
        files[f"{source.stem}.mpy"] = compiling.compiled(source.read_text(), source.name)
    path = folder / "boards.romfs"
    path.write_bytes(romfs.image(files))
    return path


class RelayedBoard:
    """One board; what it keeps stays in its folder. `port` is a link to its device."""

    def __init__(self, house: House, rom: Path, name: str) -> None:
        self.house = house
        self.rom = rom
        self.name = name
        self.folder = house.folder / name
        self.folder.mkdir()
        self.port = house.folder / f"tty-{name}"
        self.process: subprocess.Popen[bytes] | None = None
        self._held = -1

    def plug_in(self, gate: int = 0, hosts: tuple[str, ...] = ()) -> None:
        """`gate`, `hosts`: as in programs/relay_board.py."""
        root = str(self.house.operator.home / "root.json")
        settings = {"device": self.name, "target": TARGET, "root": root, "gate": gate}
        told = self.folder / "settings.json"
        told.write_text(json.dumps({**settings, "folder": str(self.folder), "hosts": hosts}))
        board, self._held = os.openpty()  # an end that nobody holds is no wire
        tty.setraw(self._held)
        self.port.unlink(missing_ok=True)
        self.port.symlink_to(os.ttyname(self._held))
        command = micropython.command(
            PROGRAMS / "from_rom.py", self.rom, "relay_board", told, heap=HEAP
        )
        with (self.house.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=board, stdout=board, stderr=log)
        os.close(board)

    def unplug(self) -> None:
        if self.process:
            self.port.unlink()  # the device's name may be another's at once
            self.process.kill()
            self.process.wait()
            os.close(self._held)
            self.process = None

    def stops_at_its_gate(self) -> None:
        wait_for(lambda: (self.folder / "stopped").exists())
        (self.folder / "stopped").unlink()

    def go(self) -> None:
        (self.folder / "go").touch()

    def free_port(self) -> None:
        """A gateway that was killed has left it exclusive, as a test holds it open."""
        fcntl.ioctl(self._held, termios.TIOCNXCL)


class Relay:
    """The gateway."""

    def __init__(self, house: House, boards: list[RelayedBoard]) -> None:
        self.house = house
        self.boards = boards
        self.config = house.folder / "relay.toml"
        self.log = house.folder / "relay.log"
        root = house.operator.home / "root.json"
        tables = "".join(
            f'[[board]]\ndevice = "{board.name}"\nport = "{board.port.name}"\n' for board in boards
        )
        self.config.write_text(
            f'gateway = "{GATEWAY}"\nstate = "gateway"\nroot = "{root}"\n'
            f'[broker]\nurl = "{house.broker_url}"\n[files]\nhosts = ["{house.files}"]\n{tables}'
        )

    def start(self) -> None:
        for board in self.boards:
            if board.process:
                board.free_port()
        self.house.running.start("relay", [*AGENT, "relay", "--config", str(self.config)])

    def kill(self) -> None:
        process = self.house.running.running.pop("relay")
        process.send_signal(signal.SIGKILL)
        process.wait()

    def status(self) -> Any:
        command = [*AGENT, "relay-status", "--json", "--config", str(self.config)]
        done = subprocess.run(command, capture_output=True)
        return json.loads(done.stdout)

    def said(self, text: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if text in line]


def wait_for(done: Any) -> None:
    deadline = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < deadline, "it did not come in time"
        time.sleep(0.02)


@contextlib.contextmanager
def plugged(*boards: RelayedBoard) -> Iterator[None]:
    try:
        yield
    finally:
        for board in boards:
            board.unplug()
