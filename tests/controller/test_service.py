"""`modelwave serve` and `modelwave broker` as processes of their own."""

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from next_roots import epoch, new_order_key, publish
from paho.mqtt.enums import CallbackAPIVersion
from rollout_world import FLEET, TARGET, Device, World, quick
from simulated_fleet import (
    DEADLINE_SECONDS,
    HAS_MOSQUITTO,
    SimulatedFleet,
    free_port,
    mosquitto,
    poll,
    retained_orders,
)
from tests.tools import MOSQUITTO_MISSING

from modelwave_controller.errors import StorageError
from modelwave_controller.home import Home
from modelwave_controller.rollout.state import FINISHED, REVERTED
from modelwave_controller.service.roots_in_use import RootsInUse
from modelwave_controller.service.serve import Ready, Service
from modelwave_controller.service.tick import Ticker
from modelwave_controller.service.writer import Writer
from modelwave_controller.storage import devices, outbox
from modelwave_controller.trust import keys
from modelwave_shared import documents, dsse, topics
from modelwave_shared.words import ORDER

pytestmark = pytest.mark.e2e
needs_mosquitto = pytest.mark.skipif(not HAS_MOSQUITTO, reason=MOSQUITTO_MISSING)
MODELWAVE = [sys.executable, "-c", "from modelwave_controller.cli import main; main()"]


class Process:
    """A `modelwave` command that keeps running; `ready` is what it wrote when it did."""

    def __init__(self, folder: Path, home: Path, *command: str) -> None:
        self.errors = folder / f"{command[0]}.stderr"
        ready = folder / f"{command[0]}.ready"
        ready.unlink(missing_ok=True)
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [*MODELWAVE, "--home", str(home), *command, "--ready-file", str(ready)],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        poll(lambda: ready.exists() or self.process.poll() is not None)
        assert self.process.poll() is None, self.errors.read_text()
        self.ready: dict[str, Any] = json.loads(ready.read_text())

    def end(self, how: int = signal.SIGTERM) -> tuple[int, str]:
        """(exit code, what it said)."""
        self.process.send_signal(how)
        out, _ = self.process.communicate(timeout=DEADLINE_SECONDS)
        return self.process.returncode, out


@contextmanager
def running(folder: Path, home: Path, *command: str) -> Iterator[Process]:
    made = Process(folder, home, *command)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
            made.process.communicate()


def known(world: World) -> int:
    with world.store.read() as connection:
        known = devices.known(connection, "digits")
        return sum(sum(known.counts(target).values()) for target in known.devices)


def statuses(world: World) -> list[str]:
    return [rollout.status for rollout in world.state().rollouts.values()]


def test_a_good_release_goes_out_and_a_bad_one_comes_back_with_the_embedded_broker(
    tmp_path: Path,
) -> None:
    with running(tmp_path, tmp_path, "broker", "--port", "0") as broker:
        port = broker.ready["port"]
        with (
            closing(World(tmp_path, broker_port=port)) as world,
            running(tmp_path, world.home.path, "serve", "--tick-seconds", "0.05") as service,
        ):
            bad = world.release(2)[TARGET].digest
            fleet = SimulatedFleet(
                port,
                [Device(f"d{number}") for number in range(12)],
                lambda _, order: "ROLLED_BACK" if order["manifest"] == bad else "SUCCEEDED",
            )
            with closing(fleet):
                poll(lambda: known(world) == 12)
                world.start(1)
                poll(lambda: statuses(world) == [FINISHED])
                world.start(2)
                poll(lambda: statuses(world) == [FINISHED, REVERTED])
                assert {o["release"] for o in _releases(fleet)} == {1}
            code, said = service.end()
            assert code == 0, service.errors.read_text()
            assert said.startswith(f"modelwave serves fleet {FLEET}: files at http://127.0.0.1:")
            [_, answers, token] = said.splitlines()
            assert answers.startswith("operators are answered at http://127.0.0.1:")
            assert token.startswith("the home's own access token is in ")
            assert Path(token.split()[-1]).read_text().startswith("mw_")
        code, said = broker.end()
        assert code == 0
        assert said.startswith(f"the broker listens on 127.0.0.1:{port}")


def _releases(fleet: SimulatedFleet) -> list[dict[str, Any]]:
    return [device.models["digits"] for device in fleet.devices.values()]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order_also_without_a_broker(tmp_path: Path, how: int) -> None:
    with (
        closing(World(tmp_path)) as world,
        running(tmp_path, world.home.path, "serve") as service,
    ):
        assert service.end(how)[0] == 0
        assert "Traceback" not in service.errors.read_text()


def test_the_ready_file_names_the_process_and_where_files_are(tmp_path: Path) -> None:
    with closing(World(tmp_path)) as world:
        data = b"model"
        sha256 = "9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4"
        (world.home.files / sha256).write_bytes(data)
        with running(tmp_path, world.home.path, "serve") as service:
            assert service.ready["pid"] == service.process.pid
            with urllib.request.urlopen(f"{service.ready['files_url']}/{sha256}") as answer:
                assert answer.read() == data


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('listen = "127.0.0.1:0"', 'listen = "192.0.2.1:80"', "files.listen"),
        ('listen = "127.0.0.1:0"', 'listen = "0.0.0.0:0"', "files.urls: devices cannot download"),
        ('listen = "127.0.0.1:0"', 'listen = "[::]:0"', "files.urls: devices cannot download"),
        ('ca = ""', 'colour = "red"', "broker.colour"),
        ('password_file = ""', 'password_file = "none"', "broker.password_file"),
    ],
)
def test_a_service_that_cannot_start_says_why_on_one_line(
    tmp_path: Path, old: str, new: str, named: str
) -> None:
    with closing(World(tmp_path)) as world:
        toml = world.home.path / "controller.toml"
        toml.write_text(toml.read_text().replace(old, new, 1))
        ran = subprocess.run(
            [*MODELWAVE, "--home", str(world.home.path), "serve"], capture_output=True, text=True
        )
    assert ran.returncode == 2
    assert named in ran.stderr
    assert "Traceback" not in ran.stderr


def test_an_order_key_of_another_fleet_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with closing(World(tmp_path)) as world:
        (world.home.path / "order.key").unlink()
        keys.create_key(world.home.path / "order.key", None)
        ran = subprocess.run(
            [*MODELWAVE, "--home", str(world.home.path), "serve"], capture_output=True, text=True
        )
    assert ran.returncode == 2
    assert "not one of the order keys of fleet" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--host", "0.0.0.0"), "credentials"),
        (("--users", "no-such-file"), "no-such-file"),
        (("--port", "99999"), "--port"),
    ],
)
def test_a_broker_that_cannot_start_says_why_on_one_line(
    tmp_path: Path, arguments: tuple[str, ...], named: str
) -> None:
    ran = subprocess.run([*MODELWAVE, "broker", *arguments], capture_output=True, text=True)
    assert ran.returncode == 2
    assert named in ran.stderr
    assert "Traceback" not in ran.stderr


@needs_mosquitto
def test_orders_that_the_broker_lost_are_published_again_on_the_next_connect(
    tmp_path: Path,
) -> None:
    port = free_port()
    with (
        closing(World(tmp_path, devices=4, broker_port=port)) as world,
        running(tmp_path, world.home.path, "serve") as service,
    ):
        with mosquitto(tmp_path, port=port):
            world.start(1, quick(50, 100))
            poll(lambda: len(retained_orders(port)) == 2)
            before = retained_orders(port)
        with mosquitto(tmp_path, port=port):  # keeps nothing: it starts empty
            poll(lambda: len(retained_orders(port)) == 2)
            assert retained_orders(port) == before
            assert retained(port, f"modelwave/1/{FLEET}/root/1") == world.home.root_envelope
        assert service.end()[0] == 0


@needs_mosquitto
def test_a_topic_that_was_cleared_while_the_broker_was_away_is_cleared_when_it_is_back(
    tmp_path: Path,
) -> None:
    port = free_port()
    with (
        closing(World(tmp_path, devices=1, broker_port=port)) as world,
        running(tmp_path, world.home.path, "serve") as service,
        mosquitto(tmp_path, port=port),
    ):
        world.start(1, quick(10, 100))
        poll(lambda: len(retained_orders(port)) > 0)
        assert service.end()[0] == 0
        world.answer("ROLLED_BACK", world.devices.values())
        world.tick()
        assert statuses(world) == [REVERTED]
        with running(tmp_path, world.home.path, "serve"):
            poll(lambda: retained_orders(port) == {})


@needs_mosquitto
def test_a_reverted_order_that_a_restored_broker_has_again_is_cleared_on_connect(
    tmp_path: Path,
) -> None:
    with (
        mosquitto(tmp_path) as port,
        closing(World(tmp_path, devices=1, broker_port=port)) as world,
    ):
        with running(tmp_path, world.home.path, "serve"):
            world.start(1, quick(10, 100))
            poll(lambda: len(retained_orders(port)) > 0)
            topic = min(retained_orders(port))
            order = retained(port, topic)
            world.answer("ROLLED_BACK", world.devices.values())
            poll(lambda: statuses(world) == [REVERTED] and retained_orders(port) == {})
        restore(port, topic, order)
        assert set(retained_orders(port)) == {topic}
        with running(tmp_path, world.home.path, "serve"):
            poll(lambda: retained_orders(port) == {})


def restore(port: int, topic: str, payload: bytes) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.publish(topic, payload, qos=1, retain=True).wait_for_publish(DEADLINE_SECONDS)
    client.disconnect()
    client.loop_stop()


def retained(port: int, topic: str) -> bytes:
    found: list[bytes] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
    client.on_message = lambda _client, _data, message: found.append(message.payload)
    client.on_connect = lambda *_: client.subscribe(topic, 1)
    client.connect("127.0.0.1", port)
    client.loop_start()
    poll(lambda: bool(found))
    client.disconnect()
    client.loop_stop()
    return found[0]


# The loop, without processes.


def test_a_database_that_fails_is_said_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(World(tmp_path)) as world:
        service = Service(world.home, world.store, tick_seconds=0.01)
        failures = [StorageError("the disk is full")] * 3
        caplog.set_level("INFO")

        def tick(_ticker: Ticker, _now: float, _steady: float, _looks: bool) -> bool:
            service._wake.set()  # what may come between two ticks does not hide the trouble
            if failures:
                raise failures.pop()
            service.stop()
            return False

        monkeypatch.setattr(Ticker, "tick", tick)
        asyncio.run(service.run(lambda _: None))
        assert caplog.text.count("the disk is full") == 1
        assert caplog.text.count("the service works again") == 1
        assert failures == []


def test_a_thread_that_dies_ends_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Writer, "_run", lambda _writer: None)
    with closing(World(tmp_path)) as world:
        service = Service(world.home, world.store, tick_seconds=0.01)
        with pytest.raises(RuntimeError, match="a thread of the service has ended"):
            asyncio.run(service.run(lambda _: None))


def test_the_root_is_published_once_and_again_when_it_changed(tmp_path: Path) -> None:
    with closing(World(tmp_path)) as world:
        roots = RootsInUse(world.home, world.issuer)
        for _ in range(2):
            roots.publish(world.store)
        with world.store.read() as connection:
            (message,) = outbox.unsent(connection, 10)
        assert (message.version, message.payload) == (1, world.home.root_envelope)
        assert message.topic == f"modelwave/1/{FLEET}/root/1"


def test_a_database_that_another_process_holds_does_not_keep_it_from_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("modelwave_controller.storage.store.BUSY_SECONDS", 10**6)
    monkeypatch.setattr("modelwave_controller.service.serve.STOP_SECONDS", 0.1)
    with (
        closing(World(tmp_path)) as world,
        closing(sqlite3.connect(world.home.path / "modelwave.db")) as other,
    ):
        other.isolation_level = None
        service = Service(world.home, world.store, tick_seconds=0.01)

        def stop() -> None:
            poll(lambda: service.inbox.counts["received"] == 1 and len(service.inbox) == 0)
            service.stop()

        stopper = threading.Thread(target=stop)

        def ready(_found: Ready) -> None:
            other.execute("BEGIN IMMEDIATE")
            service.inbox.put(topics.reported(FLEET, "d1"), Device("d1").report())
            stopper.start()

        asyncio.run(service.run(ready))
        stopper.join()
        other.execute("ROLLBACK")
    assert "1 message lost; devices repeat their reports" in caplog.text


@needs_mosquitto
def test_running_service_publishes_the_next_root_and_signs_under_it(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path) as port,
        closing(World(tmp_path, devices=2, broker_port=port)) as world,
        running(tmp_path, world.home.path, "serve"),
    ):
        world.start(1, quick(100))
        poll(lambda: len(retained_orders(port)) > 0)
        made = publish(world.home, epoch(world.home), new_order_key(world.home))
        poll(lambda: {order["epoch"] for order in retained_orders(port).values()} == {1})
        assert retained(port, f"modelwave/1/{FLEET}/root/2") == made
        root = Home(world.home.path).root_document
        for topic, order in retained_orders(port).items():
            envelope = dsse.read(retained(port, topic).split(b"\n")[0])
            assert documents.open_signed(ORDER, envelope, root) == order
