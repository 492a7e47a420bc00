"""Boards behind one gateway, with everything real but the wires: `modelwave broker`, `modelwave
serve` and `modelwave-agent relay`, each in a process of its own; the boards (boards.py) and the
wires (wires.py) in one process each."""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.append(str(Path(__file__).parents[2] / "tests" / "controller"))

import paho.mqtt.client as paho
from benchmarks.api.known_service import cpu_seconds
from benchmarks.relay.boards import Work
from benchmarks.relay.counting_door import Door, door
from benchmarks.scale.fleet import scalar, wait_until
from paho.mqtt.enums import CallbackAPIVersion
from rollout_world import FLEET, TARGET, World, quick
from test_service import running
from tests.board.programs.stand_in import answer
from tests.board.releases import INPUTS

from modelwave_controller.demo.processes import AGENT
from modelwave_shared import digests, golden, topics

ROOT = Path(__file__).parents[2]
MODEL, GATEWAY = "digits", "gw-1"
LIMIT_SECONDS = 600
END_SECONDS = 10
USB_BAUD = 115_200  # what both ends are told of a wire without a limit


class Scene:
    """A fleet whose boards have all reported, through their gateway. Times are of the steady
    clock."""

    def __init__(self, folder: Path, world: World, door: Door, boards: list[str]) -> None:
        self.folder = folder
        self.world = world
        self.door = door
        self.boards = boards
        self.ordered_at = 0.0  # when the first order came from the broker
        self.pids: dict[str, int] = {}  # of relay, boards and wires
        self._news = threading.Condition()
        self._told: dict[str, dict[str, float]] = {}  # {what: {board: when}}

    def heard(self, line: bytes) -> None:
        told = json.loads(line)
        with self._news:
            self._told.setdefault(told["what"], {})[told["board"]] = told["at"]
            self._news.notify_all()

    def wait(self, what: str) -> float:
        """Returns when the last board has told this."""
        with self._news:
            told = self._told.setdefault(what, {})
            if not self._news.wait_for(lambda: len(told) == len(self.boards), LIMIT_SECONDS):
                found = sorted({*self.boards} - {*told})
                raise TimeoutError(f"{found} have not told {what}: {self.log()}")
            return max(told.values())

    def log(self) -> str:
        return (self.folder / "relay.log").read_text()[-2000:]

    def release(self, model: bytes) -> dict[str, Any]:
        """Puts these files where the file server has them; returns what the manifest says."""
        digest = hashlib.sha256(model).digest()
        outputs = [answer(digest, given) for given in INPUTS]
        proof = golden.pack("o", "b", "b", INPUTS, outputs)
        files = []
        for role, data in (("model", model), ("golden", proof)):
            name = digests.hexdigest(data)
            (self.world.home.files / name).write_bytes(data)
            files.append({"role": role, "sha256": name, "size": len(data)})
        needs = {"flash": len(model) + len(proof), "ram": 256, "kernels": []}
        return {
            "files": files,
            "needs": {**needs, "runtime": "tflite", "accelerator": ""},
            "tolerance": {"kind": "outputs", "steps": {"any": 0}},
        }

    def roll_out(self, said: dict[str, Any]) -> None:
        """Orders the release for all boards at once."""
        stage = {"deadline_seconds": LIMIT_SECONDS}
        self.world.start(1, quick(100, stage=stage), **said)

    def cpu_seconds(self) -> dict[str, float]:
        return {name: cpu_seconds(pid) for name, pid in self.pids.items()}


@contextlib.contextmanager
def scene(folder: Path, number: int, baud: int, frames: int) -> Iterator[Scene]:
    """`frames`: that a board takes at once."""
    boards = [f"b{index}" for index in range(number)]
    with contextlib.ExitStack() as on:
        broker = on.enter_context(running(folder, folder, "broker", "--port", "0"))
        port = broker.ready["port"]
        way = on.enter_context(door())
        world = on.enter_context(contextlib.closing(World(folder, broker_port=port)))
        _settle(world, way)
        service = on.enter_context(running(folder, world.home.path, "serve"))
        way.target = int(urlsplit(service.ready["files_url"]).port or 0)
        made = Scene(folder, world, way, boards)
        on.enter_context(_listening(port, made))
        wires = folder / "wires"
        wires.mkdir()
        made.pids["wires"] = on.enter_context(_wires(wires, baud, boards))
        made.pids["relay"] = on.enter_context(_relay(folder, port, way, baud, boards))
        made.pids["boards"] = on.enter_context(_boards(folder, made, baud, frames))
        made.wait("reported")
        wait_until(lambda: scalar(world, "select count(*) from devices") == number)
        yield made


def _settle(world: World, way: Door) -> None:
    settings = world.home.path / "controller.toml"
    urls = f'urls = ["http://127.0.0.1:{way.port}/files"]'
    settings.write_text(settings.read_text().replace("\nurls = []", f"\n{urls}", 1))


@contextlib.contextmanager
def _listening(port: int, made: Scene) -> Iterator[None]:
    def ordered(_client: Any, _held: Any, message: paho.MQTTMessage) -> None:
        if message.payload and not made.ordered_at:
            made.ordered_at = time.monotonic()

    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_message = ordered
    client.connect("127.0.0.1", port)
    client.subscribe(topics.under(FLEET, "desired", "#"), qos=1)
    client.loop_start()
    try:
        yield
    finally:
        client.disconnect()
        client.loop_stop()


@contextlib.contextmanager
def _wires(folder: Path, baud: int, boards: list[str]) -> Iterator[int]:
    with _started("benchmarks.relay.wires", str(folder), str(baud), *boards) as process:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError("the wires did not start")
        yield process.pid


@contextlib.contextmanager
def _relay(folder: Path, port: int, way: Door, baud: int, boards: list[str]) -> Iterator[int]:
    lines = [f'gateway = "{GATEWAY}"', 'state = "relay"', 'root = "home/root.json"']
    lines += ["[broker]", f'url = "mqtt://127.0.0.1:{port}"']
    lines += ["[files]", f'hosts = ["127.0.0.1:{way.port}"]']
    for board in boards:
        lines += ["[[board]]", f'device = "{board}"', f'port = "wires/{board}.gateway"']
        lines += [f"baud = {baud or USB_BAUD}"]
    config = folder / "relay.toml"
    config.write_text("\n".join(lines) + "\n")
    with (folder / "relay.log").open("wb") as log:
        command = [*AGENT, "relay", "--config", str(config)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log, cwd=ROOT)
        try:
            yield process.pid
        finally:
            _end(process)


@contextlib.contextmanager
def _boards(folder: Path, made: Scene, baud: int, frames: int) -> Iterator[int]:
    state = folder / "boards"
    state.mkdir()
    work = Work(
        boards=made.boards,
        wires=str(folder / "wires"),
        state=str(state),
        root=str(made.world.home.path / "root.json"),
        target=TARGET,
        model=MODEL,
        hosts=[f"127.0.0.1:{made.door.port}"],
        baud=baud or USB_BAUD,
        frames=frames,
    )
    with _started("benchmarks.relay.boards") as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(work._asdict()).encode() + b"\n")
        process.stdin.flush()
        reading = threading.Thread(target=_read, args=(process, made.heard), daemon=True)
        reading.start()
        yield process.pid


def _read(process: "subprocess.Popen[bytes]", heard: Callable[[bytes], None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        heard(line)


@contextlib.contextmanager
def _started(module: str, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that ends when its stdin does."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=ROOT, env=dict(os.environ))
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
