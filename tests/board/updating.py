"""Whole updates of a board: real MicroPython, a real broker, the controller's file blocks.

    with broker(tmp_path, "mosquitto") as port, Ground(tmp_path, port) as ground:
        figures = ground.update(heap="64k")     # what programs/whole_update.py printed

What comes before and after those bytes is no part of it: the order is signed here.
"""

import contextlib
import json
import os
import threading
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from modelwave_controller.blocks import Blocks
from modelwave_controller.demo.processes import processes
from modelwave_controller.link import Broker
from modelwave_shared import slots, topics
from tests import micropython, signing
from tests.board.releases import release, write_files
from tests.e2e.conftest import House

REPO = Path(__file__).parents[2]
PROGRAMS = REPO / "tests/board/programs"
SOURCES = [str(REPO / "shared"), str(REPO / "agent")]
FLEET, MODEL, DEVICE, TARGET = "demo", "digits", "pico-1", "rp2040"
TOPIC = topics.desired_slot(FLEET, TARGET, MODEL, slots.slot(FLEET, DEVICE))
MODEL_BYTES = 100_000
SECONDS = 60
KEEPALIVE_SECONDS = 10


@contextlib.contextmanager
def broker(folder, kind):
    """The port of a broker of this kind (mosquitto, amqtt), which ends with the block."""
    with processes(folder) as running:
        house = House(folder, running)
        house.init()
        house.start_broker(kind)
        yield int(house.broker_url.rsplit(":", 1)[1])


class Ground:
    """The controller's side. Releases are numbered; the one at hand is new for every board."""

    def __init__(self, folder, port):
        self.folder = folder
        self.port = port
        self.number = 0
        (folder / "root.json").write_bytes(signing.root_envelope())
        (folder / "files").mkdir()

    def __enter__(self):
        self.blocks = Blocks(Broker("127.0.0.1", self.port), FLEET, self.folder / "files")
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
        self._publish(signing.order(made, self.number, trial=trial))
        return self.number

    def clear(self):
        """Nothing is wanted any more."""
        self._publish(b"")

    def _publish(self, message):
        self.client.publish(TOPIC, message, qos=1, retain=True).wait_for_publish(SECONDS)

    def configure(self, path, **more):
        """A board's CONFIG.json with a folder of its own; `path`: where its modules are."""
        place = self.folder / f"board-{len(list(self.folder.glob('board-*')))}"
        place.mkdir()
        config = {
            "path": [*map(str, path), str(PROGRAMS)],
            "host": "127.0.0.1",
            "port": self.port,
            "keepalive": KEEPALIVE_SECONDS,
            "root": str(self.folder / "root.json"),
            "folder": str(place / "modelwave"),
            **more,
        }
        (place / "config.json").write_text(json.dumps(config))
        return place / "config.json"

    def update(self, heap, path=SOURCES, sample=False, healthy=True):
        """{idle, end} of programs/whole_update.py in a heap of this size ("64k"), from the
        modules in `path`; without end if it did not come so far. With the last words on
        stderr, as {error}."""
        self.clear()
        seq = self.number + 1
        config = self.configure(path, seq=seq, sample=sample)
        board = micropython.start(self.folder, PROGRAMS / "whole_update.py", config, heap=heap)
        limit = threading.Timer(SECONDS, board.kill)
        limit.start()
        found = {}
        try:
            for line in board.stdout:
                found.update(json.loads(line))
                if "end" not in found:
                    self.order(healthy=healthy)
            found["error"] = board.stderr.read()
        finally:
            limit.cancel()
            board.kill()
            board.wait()
            board.stdout.close()
            board.stderr.close()
        return found

    def smallest_heap(self, path, step=512, low=16 * 1024, high=256 * 1024):
        """Bytes (to `step`) of the smallest heap in which an update succeeds, and of the one
        in which the board only comes to be idle."""
        return tuple(self._smallest(path, what, step, low, high) for what in ("end", "idle"))

    def _smallest(self, path, what, step, low, high):
        while high - low > step:
            middle = (low + high) // 2 // step * step
            if what in self.update(str(middle), path):
                high = middle
            else:
                low = middle
        return high
