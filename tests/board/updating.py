"""Runs whole updates of a board: real MicroPython, a real broker, the controller's file blocks.

    with broker(tmp_path, "mosquitto") as port, Ground(tmp_path, port) as ground:
        figures = ground.update(heap="64k")     # what programs/whole_update.py printed

The controller's rollout is not part of it: this module signs the order.
"""

import contextlib
import json
import os
import queue
import select
import socket
import threading
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from modelwave_controller.boards import compiling, romfs
from modelwave_controller.demo.processes import processes
from modelwave_controller.service.blocks import Blocks
from modelwave_controller.service.broker_address import ServiceBroker
from modelwave_shared import slots, topics
from tests import micropython, signing
from tests.board.releases import release, write_files
from tests.e2e.conftest import MOSQUITTO, House, wait_for_port

REPO = Path(__file__).parents[2]
PROGRAMS = REPO / "tests/board/programs"
ROM = "/rom"  # where FromRom's boards have their modules
SOURCES = [str(REPO / "shared"), str(REPO / "agent")]
FLEET, MODEL, DEVICE, TARGET = "demo", "digits", "pico-1", "rp2040"
TOPIC = topics.desired_slot(FLEET, TARGET, MODEL, slots.slot(FLEET, DEVICE))
# The form of an order that takes most memory.
SLOTS = signing.bitmap(range(slots.slot(FLEET, DEVICE) % 2, 1000, 2))
MODEL_BYTES = 100_000
SECONDS = 60
TOO_LITTLE_SECONDS = 10  # then a board is taken to have too little memory; it may try for ever
KEEPALIVE_SECONDS = 10
LIVES = 3  # that all succeed in a heap that does


@contextlib.contextmanager
def broker(folder, kind):
    """The port of a broker of this kind (mosquitto, embedded), which ends with the block."""
    with running_broker(folder, kind) as running:
        yield running.port


@contextlib.contextmanager
def running_broker(folder, kind):
    """The same, as an object that the test can kill."""
    with processes(folder) as running:
        house = House(folder, running)
        house.init()
        house.start_broker(kind)
        yield Running(house)


class Running:
    def __init__(self, house):
        self.house = house
        self.port = int(house.broker_url.rsplit(":", 1)[1])

    def kill(self):
        process = self.house.running.running.pop("broker")
        process.kill()
        process.wait()

    def start_again(self):
        """On the same port. The one in this package begins with nothing."""
        running, config = self.house.running, self.house.folder / "mosquitto.conf"
        if config.exists():
            running.start("broker", [MOSQUITTO, "-c", str(config)])
        else:
            running.start(
                "broker", self.house.operator.command(["broker", "--port", str(self.port)])
            )
        wait_for_port(self.port)


class Line(threading.Thread):
    """The connection between a board and the broker at `target`. It forwards, until `hole` makes it
    a black hole for the open connections: it forwards nothing and closes nothing."""

    def __init__(self, target):
        super().__init__(daemon=True)
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.pairs = {}  # of open sockets, each way
        self.holes = []  # sockets into which all falls
        self.taken = 0  # bytes that went to the board
        self.plan = None  # at so many of them, call this function
        self.ending = False

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ending = True
        self.join()
        for sock in (self.listener, *self.pairs, *self.holes):
            sock.close()

    def after(self, more, do):
        """Calls `do` once `more` bytes have gone to the board."""
        self.plan = self.taken + more, do

    def hole(self):
        """Stops forwarding; `after` may call it."""
        self.holes += self.pairs
        self.pairs = {}

    def run(self):
        while not self.ending:
            for sock in select.select([self.listener, *self.pairs], [], [], 0.01)[0]:
                self._forward(sock)
            if self.plan and self.taken >= self.plan[0]:
                (_, do), self.plan = self.plan, None
                do()

    def _forward(self, sock):
        if sock is self.listener:
            board = sock.accept()[0]
            with contextlib.suppress(OSError):
                broker = socket.create_connection(("127.0.0.1", self.target))
                self.pairs |= {board: broker, broker: board}
                return
            board.close()
            return
        other = self.pairs.get(sock)
        if other is None:
            return
        with contextlib.suppress(OSError):
            data = sock.recv(4096)
            if data:
                other.sendall(data)
                self.taken += len(data) if other.getsockname()[1] == self.port else 0
                return
        for one in (sock, other):
            self.pairs.pop(one, None)
            one.close()


class Ground:
    """The controller's side. Releases are numbered; the one at hand is new for every board."""

    def __init__(self, folder, port):
        self.folder = folder
        self.port = port
        self.number = 0
        (folder / "root.json").write_bytes(signing.root_envelope())
        (folder / "files").mkdir(exist_ok=True)

    def __enter__(self):
        self.blocks = Blocks(ServiceBroker("127.0.0.1", self.port), FLEET, self.folder / "files")
        self.blocks.start()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self.client.connect("127.0.0.1", self.port)
        self.client.loop_start()
        return self

    def __exit__(self, *_):
        self.client.disconnect()
        self.client.loop_stop()
        self.blocks.stop()

    def order(self, size=MODEL_BYTES, healthy=True):
        """Publishes the order for a new release; its number, which is the order's too."""
        self.number += 1
        made = release(self.number, os.urandom(size), healthy)
        write_files(self.folder / "files", made)
        trial = {"seconds": 0, "inferences": 0}
        self._publish(signing.order(made, self.number, trial=trial, **SLOTS))
        return self.number

    def listen(self, topic):
        """The queue of what comes there."""
        came = queue.Queue()
        self.client.message_callback_add(topic, lambda _c, _u, message: came.put(message.payload))
        self.client.subscribe(topic, qos=1)
        return came

    def clear(self):
        """Clears the order."""
        self._publish(b"")

    def _publish(self, message):
        self.client.publish(TOPIC, message, qos=1, retain=True).wait_for_publish(SECONDS)

    def configure(self, path, **more):
        """A board's CONFIG.json with a folder of its own; `path`: where its modules are."""
        place = self.folder / f"board-{len(list(self.folder.glob('board-*')))}"
        place.mkdir()
        config = {
            "path": [*map(str, path), str(self.folder), str(PROGRAMS)],
            "host": "127.0.0.1",
            "port": self.port,
            "keepalive": KEEPALIVE_SECONDS,
            "root": str(self.folder / "root.json"),
            "folder": str(place / "modelwave"),
            **more,
        }
        (place / "config.json").write_text(json.dumps(config))
        return place / "config.json"

    def outcome(self, heap, path=SOURCES, **how):
        """The outcome of an update as below, or what was found in place of its end."""
        found = self.update(heap, path, **how)
        return found["end"]["outcome"] if "end" in found else found

    def update(self, heap, path=SOURCES, sample=False, healthy=True, seconds=SECONDS):
        """{idle, end} of programs/whole_update.py in a heap of this size ("64k"), from the
        modules in `path`; without end if it did not come so far. With the last words on
        stderr, as {error}."""
        self.clear()
        found = {}
        config = self.configure(path, seq=self.number + 1, sample=sample)
        with self.board("whole_update.py", config, heap, seconds) as board:
            for line in board.stdout:
                found.update(json.loads(line))
                if "end" not in found:
                    self.order(healthy=healthy)
            found["error"] = board.stderr.read()
        return found

    @contextlib.contextmanager
    def board(self, program, config, heap, seconds):
        """A board that runs this program, for so many seconds at most: a Popen."""
        board = micropython.start(self.folder, *self._command(program, config), heap=heap)
        limit = threading.Timer(seconds, board.kill)
        limit.start()
        try:
            yield board
        finally:
            limit.cancel()
            board.kill()
            board.wait()
            board.stdout.close()
            board.stderr.close()

    def _command(self, program, config):
        """The program as .mpy where the agent is: to compile it takes more than to run it."""
        if not config or json.loads(config.read_text())["path"][0] in SOURCES:
            return PROGRAMS / program, config
        for name in (program, "stand_in.py"):
            _compiled(name, self.folder)
        return "-m", program.removesuffix(".py"), config

    def smallest_heap(self, path, step=512, low=32 * 1024, high=192 * 1024):
        """Bytes (to `step`) of the smallest heap in which updates succeed, and of the one in
        which the board only comes to be idle."""
        return tuple(self._smallest(path, what, step, low, high) for what in ("end", "idle"))

    def _smallest(self, path, what, step, low, high):
        if not self._does(path, what, high):
            raise SystemExit(f"a heap of {high} bytes does not do: search above it")
        while high - low > step:
            middle = (low + high) // 2 // step * step
            if self._does(path, what, middle):
                high = middle
            else:
                low = middle
        return high

    def _does(self, path, what, heap):
        """Whether a board comes so far in each of a few lives: near the edge it is a matter of
        chance when garbage is collected."""
        lives = (self.update(str(heap), path, seconds=TOO_LITTLE_SECONDS) for _ in range(LIVES))
        return all(what in found for found in lives)


class FromRom(Ground):
    """Its boards have all code in a ROMFS image, as in a board's flash (programs/from_rom.py)."""

    def __init__(self, folder, port, installed):
        """`installed`: a folder with what a board installs."""
        super().__init__(folder, port)
        paths = {path.relative_to(installed): path for path in installed.rglob("*.mpy")}
        self.files = {place.as_posix(): path.read_bytes() for place, path in paths.items()}

    def _command(self, program, config):
        names = [_compiled(name, self.folder).name for name in (program, "stand_in.py")]
        image = self.folder / "agent.romfs"
        programs = {name: (self.folder / name).read_bytes() for name in names}
        image.write_bytes(romfs.image(self.files | programs))
        return PROGRAMS / "from_rom.py", image, program.removesuffix(".py"), config


def _compiled(name, folder):
    """The .mpy in `folder` of a program, which is compiled as the agent is."""
    target = (folder / name).with_suffix(".mpy")
    target.write_bytes(compiling.compiled((PROGRAMS / name).read_text(), name))
    return target
