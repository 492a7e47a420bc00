"""Broker and controller, started as a user would start them, on ports that the system picks."""

import json
from pathlib import Path

from modelwave_controller.demo.command import CommandLine
from modelwave_controller.demo.processes import Processes

START_SECONDS = 30


def start_broker(operator: CommandLine, running: Processes) -> str:
    """The embedded broker's URL, once it listens."""
    ready = _start(operator, running, "broker", "--port", "0")
    return f"mqtt://127.0.0.1:{json.loads(ready.read_text())['port']}"


def start_serve(operator: CommandLine, running: Processes) -> str:
    """The address of its files, once the controller serves."""
    ready = _start(operator, running, "serve", "--tick-seconds", "0.2")
    return str(json.loads(ready.read_text())["files_url"])


def settle(operator: CommandLine, broker: str) -> None:
    """Puts the broker's URL, and any free port for files, into a new home's settings."""
    settings = operator.home / "controller.toml"
    text = settings.read_text().replace("mqtt://127.0.0.1:1883", broker)
    settings.write_text(text.replace("127.0.0.1:8180", "127.0.0.1:0"))


def _start(operator: CommandLine, running: Processes, name: str, *options: str) -> Path:
    """Starts `modelwave NAME`; the file that it writes when it is ready."""
    ready = running.folder / f"{name}.json"
    ready.unlink(missing_ok=True)
    running.start(name, operator.command([name, *options, "--ready-file", str(ready)]))
    running.wait_for(name, ready, START_SECONDS)
    return ready
