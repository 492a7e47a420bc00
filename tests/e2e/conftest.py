"""Real parts for end-to-end tests: a broker, the controller, agents; all end with the test."""

import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelwave_controller.demo.command import Operator
from modelwave_controller.demo.processes import Processes, processes

REPO = Path(__file__).resolve().parents[2]
DIGITS = REPO / "examples/digits/models"
MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
START_SECONDS = 30
FLEET = "demo"


class House:
    """A home folder with its broker and service."""

    def __init__(self, folder: Path, running: Processes) -> None:
        self.folder = folder
        self.running = running
        self.operator = Operator(folder / "home")
        self.broker_url = ""

    def init(self) -> None:
        assert self.operator.shows("init", FLEET) == 0

    def start_broker(self, kind: str) -> None:
        self.broker_url = f"mqtt://127.0.0.1:{getattr(self, f'_start_{kind}')()}"
        settings = self.operator.home / "controller.toml"
        text = settings.read_text().replace("mqtt://127.0.0.1:1883", self.broker_url)
        settings.write_text(text.replace("127.0.0.1:8180", "127.0.0.1:0"))

    def start_service(self) -> None:
        ready = self.folder / "serve.json"
        ready.unlink(missing_ok=True)
        command = ["serve", "--tick-seconds", "0.2", "--ready-file", str(ready)]
        self.running.start("serve", self.operator.command(command))
        self.running.wait_for("serve", ready, START_SECONDS)

    def release(self, version: str, *more: str) -> None:
        found = json.loads((DIGITS / "models.json").read_text())
        entry = next(e for e in found["versions"] if e["version"] == version)
        tolerance = entry["tolerance"]
        self.operator.asks(
            *("release", "create", "digits", version, "--target", "linux-cpu", "--yes"),
            *("--file", str(DIGITS / entry["file"])),
            *("--golden", str(DIGITS / entry["golden"]["file"])),
            *("--dataset", "digits", "--quantisation", "int8"),
            *(
                ("--least-correct", str(tolerance["least_ppm"] / 1e6))
                if tolerance["kind"] == "labels"
                else ("--steps", "any=8")
            ),
            *more,
        )

    def _start_amqtt(self) -> int:
        ready = self.folder / "broker.json"
        command = ["broker", "--port", "0", "--ready-file", str(ready)]
        self.running.start("broker", self.operator.command(command))
        self.running.wait_for("broker", ready, START_SECONDS)
        return int(json.loads(ready.read_text())["port"])

    def _start_mosquitto(self) -> int:
        """With the settings that docker/ ships, but for the port and the folder."""
        if MOSQUITTO is None:
            pytest.skip("mosquitto is not installed: apt install mosquitto")
        port = free_port()
        text = (REPO / "docker/mosquitto.conf").read_text()
        text = text.replace("listener 1883", f"listener {port} 127.0.0.1")
        text = text.replace("/mosquitto/data/", f"{self.folder}/")
        config = self.folder / "mosquitto.conf"
        config.write_text(f"{text}\nuser root\n" if os.getuid() == 0 else text)
        self.running.start("broker", [MOSQUITTO, "-c", str(config)])
        listening = self.folder / "listening"
        wait_for_port(port)
        listening.touch()
        return port


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int) -> None:
    """Returns once somebody listens."""
    import time

    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, "the broker does not listen"
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with processes(tmp_path) as running:
        yield House(tmp_path, running)
