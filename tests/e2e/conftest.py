"""Real parts for end-to-end tests: a broker, the controller, agents; all end with the test."""

import functools
import os
import shlex
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelwave_controller.cli import run
from modelwave_controller.demo import service
from modelwave_controller.demo.command import PASSPHRASE, PASSPHRASE_VARIABLE, CommandLine
from modelwave_controller.demo.examples import release_arguments
from modelwave_controller.demo.processes import Processes, processes
from modelwave_controller.demo.service import free_port
from modelwave_controller.trust import pkcs8
from tests import lasting
from tests.tools import MOSQUITTO_MISSING

REPO = Path(__file__).resolve().parents[2]
DIGITS = REPO / "examples/digits/models"
MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
FLEET = "demo"


@functools.cache
def _made_once() -> Path:
    """A home that each test copies. In it one hash is as good as 600,000, which would be done for
    each key, and again for each signature."""
    folder = lasting.folder()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pkcs8, "PBKDF2_ROUNDS", 1000)
        patched.setenv(PASSPHRASE_VARIABLE, PASSPHRASE)
        assert run(["--home", str(folder / "home"), "init", FLEET]) == 0
    return folder / "home"


class Operator(CommandLine):
    """Runs all commands in this process: each of its own would import for a second. test_readme.py
    and test_enrolled_fleet.py run what a person types, as it is typed."""

    def shows(self, *arguments: str) -> int:
        code, out, err = self._run_here(arguments)
        print(f"$ modelwave {shlex.join(arguments)}", out, err, sep="\n")
        return code

    def shows_outside(self, *arguments: str) -> int:
        """As a person would run it, for the exit code of a process."""
        return super().shows(*arguments)


class House:
    """A home folder with its broker and service."""

    def __init__(self, folder: Path, running: Processes) -> None:
        self.folder = folder
        self.running = running
        self.operator = Operator(folder / "home", run)
        self.broker_url = ""
        self.files = ""  # the entry of the files' host for agent.toml

    def init(self) -> None:
        shutil.copytree(_made_once(), self.operator.home)

    def start_broker(self, kind: str) -> None:
        self.broker_url = getattr(self, f"_start_{kind}")()
        self.files = service.settle(self.operator, self.broker_url)

    def start_service(self) -> None:
        service.start_serve(self.operator, self.running)

    def release(self, version: str, *more: str) -> None:
        self.operator.asks(*release_arguments(DIGITS, version, "linux-cpu"), *more)

    def _start_embedded(self) -> str:
        return service.start_broker(self.operator, self.running)

    def _start_mosquitto(self) -> str:
        """With the settings that docker/ ships, but for the port and the folder."""
        if MOSQUITTO is None:
            pytest.skip(MOSQUITTO_MISSING)
        port = free_port()
        text = (REPO / "docker/mosquitto.conf").read_text()
        text = text.replace("listener 1883", f"listener {port} 127.0.0.1")
        text = text.replace("/mosquitto/data/", f"{self.folder}/")
        config = self.folder / "mosquitto.conf"
        config.write_text(f"{text}\nuser root\n" if os.getuid() == 0 else text)
        self.running.start("broker", [MOSQUITTO, "-c", str(config)])
        wait_for_port(port)
        return f"mqtt://127.0.0.1:{port}"


def wait_for_port(port: int) -> None:
    """Returns once somebody listens."""
    deadline = time.monotonic() + service.START_SECONDS
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
