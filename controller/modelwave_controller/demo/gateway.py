"""The demo's gateway, and the cable to the board behind it, which is a pseudo-terminal."""

import importlib.util
import os
import tty
from dataclasses import dataclass
from pathlib import Path

from modelwave_controller.demo.processes import AGENT, Processes

NAME, BOARD = "gateway-01", "pico-03"


def missing() -> str:
    """Returns why there can be no gateway here, or ""."""
    if importlib.util.find_spec("serial") is None:
        return "no pyserial: pip install 'modelwave[relay]'"
    return ""


@dataclass(frozen=True)
class Cable:
    """Both ends, as descriptors. The demo holds that of the gateway as well: a pseudo-terminal ends
    if nobody does."""

    board: int
    held: int

    @classmethod
    def new(cls) -> "Cable":
        board, held = os.openpty()
        tty.setraw(held)
        return cls(board, held)

    @property
    def port(self) -> str:
        return os.ttyname(self.held)


def start(running: Processes, folder: Path, root: Path, broker: str, files: str, port: str) -> None:
    """Starts the gateway of the board at `port`."""
    config = folder / f"{NAME}.toml"
    config.write_text(
        f'gateway = "{NAME}"\n'
        f'state = "{NAME}"\n'
        f'root = "{root}"\n'
        f'[broker]\nurl = "{broker}"\n'
        f'[files]\nhosts = ["{files}"]\n'
        f'[[board]]\ndevice = "{BOARD}"\nport = "{port}"\n'
    )
    running.start(NAME, [*AGENT, "relay", "--config", str(config)])
