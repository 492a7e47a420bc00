"""Files in blocks over MQTT: real MicroPython, real brokers, the controller's side."""

import contextlib
import hashlib
import json
import os
import threading
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from modelwave_controller.demo.processes import processes
from modelwave_controller.service.blocks import Blocks
from modelwave_controller.service.broker_address import ServiceBroker
from modelwave_shared import topics
from tests import micropython
from tests.board.updating import broker
from tests.e2e.conftest import House, wait_for_port

pytestmark = pytest.mark.slow

PROGRAMS = Path(__file__).parent / "programs"
HEAP = "72k"
SECONDS = 60
FLEET, DEVICE = "demo", "pico-1"
MODEL_BYTES = 100_000


def test_cases_on_micropython(tmp_path):
    """What lines can do to blocks; the cases are in programs/blocks_cases.py."""
    done = micropython.run(tmp_path, PROGRAMS / "blocks_cases.py", tmp_path, heap="192k")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "24 passed, 0 failed"


@pytest.fixture(scope="module", params=["mosquitto", "embedded"])
def port(request, tmp_path_factory):
    with broker(tmp_path_factory.mktemp("broker"), request.param) as found:
        yield found


@pytest.fixture
def data(tmp_path):
    """A model, which the controller has."""
    (tmp_path / "files").mkdir()
    made = os.urandom(MODEL_BYTES)
    (tmp_path / "files" / hashlib.sha256(made).hexdigest()).write_bytes(made)
    return made


@contextlib.contextmanager
def serving(port, folder):
    """The controller's side, once it hears requests: one that comes before is lost, and a patient
    board does not ask again."""
    made = Blocks(ServiceBroker("127.0.0.1", port), FLEET, folder / "files")
    hears, wake = threading.Event(), made.link.wake

    def woken():
        wake()
        if made.link.current:
            hears.set()

    made.link.wake = woken
    made.start()
    try:
        assert hears.wait(SECONDS)
        yield made
    finally:
        made.stop()


class Fetching:
    """A board that fetches `data`. `told`: what it has printed, by the names. It is `patient` where
    its requests are counted: on a busy machine an answer may take longer than a board waits."""

    def __init__(self, folder, compiled, port, data, url="", gate=0, patient=False):
        self.bank = folder / "board"
        self.bank.mkdir(exist_ok=True)
        entry = {"role": "model", "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        config = {
            "path": [str(compiled)],
            "host": "127.0.0.1",
            "port": port,
            "device": DEVICE,
            "folder": str(self.bank),
            "files": [entry],
            "url": url,
            "gate": gate,
            "silence": SECONDS if patient else 0,
        }
        path = folder / "config.json"
        path.write_text(json.dumps(config))
        self.told = {}
        self.process = micropython.start(folder, PROGRAMS / "blocks_fetch.py", path, heap=HEAP)
        self.limit = threading.Timer(SECONDS, self.process.kill)

    def __enter__(self):
        self.limit.start()
        return self

    def __exit__(self, *_):
        self.limit.cancel()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def until(self, name):
        """Returns when the board has said so."""
        while name not in self.told:
            line = self.process.stdout.readline()
            assert line, f"{self.told}, then: {self.process.stderr.read()}"
            self.told.update(json.loads(line))
        return self.told[name]

    def go_on(self):
        (self.bank / "go").write_bytes(b"")

    def content(self):
        return (self.bank / "a.model").read_bytes()


@contextlib.contextmanager
def listening(port, topic, hear):
    """`hear` is called for each message on the topic."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    subscribed = threading.Event()
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = lambda *_: hear()
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.subscribe(topic, 1)
    assert subscribed.wait(SECONDS)
    try:
        yield
    finally:
        client.disconnect()
        client.loop_stop()


def test_file_comes_whole_within_a_boards_heap(tmp_path, compiled, port, data):
    board = Fetching(tmp_path, compiled, port, data, patient=True)
    with serving(port, tmp_path), board as fetching:
        assert fetching.until("end") == ""
        assert fetching.content() == data
        assert fetching.told["asked"] == 13  # windows, each once: nothing was lost


def test_it_goes_on_where_the_bank_ends(tmp_path, compiled, port, data):
    (tmp_path / "board").mkdir()
    (tmp_path / "board" / "a.model").write_bytes(data[:90_001])
    board = Fetching(tmp_path, compiled, port, data, patient=True)
    with serving(port, tmp_path), board as fetching:
        assert fetching.until("end") == ""
        assert fetching.content() == data
        assert fetching.told["asked"] == 2


def test_broker_that_is_killed_and_comes_back_in_the_midst(tmp_path, compiled, data):
    with processes(tmp_path) as running:
        house = House(tmp_path, running)
        house.init()
        house.start_broker("mosquitto")
        port = int(house.broker_url.rsplit(":", 1)[1])
        with (
            serving(port, tmp_path),
            Fetching(tmp_path, compiled, port, data, gate=40_000) as fetching,
        ):
            assert 40_000 <= fetching.until("gate") < 50_000
            old = running.running["broker"]
            old.kill()
            old.wait()
            running.start("broker", old.args)
            wait_for_port(port)
            fetching.told.pop("connected")
            fetching.go_on()
            fetching.until("connected")
            assert fetching.until("end") == ""
            assert fetching.content() == data


def test_controller_that_starts_anew_in_the_midst(tmp_path, compiled, port, data):
    with Fetching(tmp_path, compiled, port, data, gate=40_000) as fetching:
        with serving(port, tmp_path):
            assert 40_000 <= fetching.until("gate") < 50_000
        asked = threading.Event()
        with listening(port, topics.file_get(FLEET, DEVICE), asked.set):
            fetching.go_on()
            assert asked.wait(SECONDS)  # and nobody answers
        with serving(port, tmp_path):
            assert fetching.until("end") == ""
            assert fetching.content() == data
            assert fetching.told["asked"] > 13


def test_file_that_changed_at_the_controller_is_not_taken(tmp_path, compiled, port, data):
    with serving(port, tmp_path), Fetching(tmp_path, compiled, port, data, gate=40_000) as fetching:
        fetching.until("gate")
        (tmp_path / "files" / hashlib.sha256(data).hexdigest()).write_bytes(bytes(len(data)))
        fetching.go_on()
        assert fetching.until("end") == "model: its sha256 is not the one that was signed"
