"""Starts broker and controller as a user would, on free ports."""

import json
import socket
from pathlib import Path
from typing import NamedTuple

from modelwave_controller.demo.command import CommandLine
from modelwave_controller.demo.processes import Processes

START_SECONDS = 30


def start_broker(operator: CommandLine, running: Processes) -> str:
    """Starts the embedded broker, and returns its URL once it listens."""
    ready = _start(operator, running, "broker", "--port", "0")
    return f"mqtt://127.0.0.1:{json.loads(ready.read_text())['port']}"


class Urls(NamedTuple):
    """Where the controller serves files, and where its page is."""

    files: str
    page: str


def start_serve(operator: CommandLine, running: Processes) -> Urls:
    """Starts the controller, and returns its URLs once it serves them."""
    ready = json.loads(_start(operator, running, "serve", "--tick-seconds", "0.2").read_text())
    return Urls(str(ready["files_url"]), str(ready["url"]))


def settle(operator: CommandLine, broker: str) -> str:
    """Writes the broker's URL, and free ports for files and operators, into a new home's settings.
    Returns the entry of the files' host for agent.toml."""
    settings = operator.home / "controller.toml"
    files = f"127.0.0.1:{free_port()}"
    text = settings.read_text().replace("mqtt://127.0.0.1:1883", broker)
    text = text.replace("127.0.0.1:8180", files)
    settings.write_text(text.replace("127.0.0.1:8181", "127.0.0.1:0"))
    return files


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(operator: CommandLine, running: Processes, name: str, *options: str) -> Path:
    """Starts `modelwave NAME`, and returns the file that it wrote when it was ready."""
    ready = running.folder / f"{name}.json"
    ready.unlink(missing_ok=True)
    running.start(name, operator.command([name, *options, "--ready-file", str(ready)]))
    running.wait_for(name, ready, START_SECONDS)
    return ready
