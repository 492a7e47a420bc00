"""How many reports a second the service stores, beside a raw loop.

The raw loop has paho's MQTT client as it comes, where the service's reads what has come in large
pieces (service/client.py), the same messages, a queue, and a thread that stores up to 1,000
messages or those of 50 ms in a transaction, with the driver of the database and no SQLAlchemy. What
it stores (raw_loop.py) is the least that the kind of report asks for. On SQLite it has WAL and
synchronous=FULL, on PostgreSQL the server as it comes; so has the service.

The service is its link, inbox and writer. It has stored each device's first report before; the time
runs from the connect until all is stored, what is kept for a minute too. Two kinds of reports:

    idle     a device repeats what it said, with another number and other free bytes
    answers  a device says how far it is with its order: each is an event of the log. A device
             answers once in a run, as of two answers in one batch the service takes the newer one

The two loops alternate, and the best run of each counts: the other work of the machine makes a run
slower, and none faster."""

import contextlib
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from string import ascii_letters
from typing import Any

import paho.mqtt.client as mqtt
from benchmarks.scale.flood import flooding, packets
from benchmarks.scale.raw_loop import ANSWERS, IDLE, Messages, opened
from benchmarks.scale.row import Row
from paho.mqtt.enums import CallbackAPIVersion

sys.path.append(str(Path(__file__).parents[2] / "tests" / "controller"))

from postgres_server import INITDB, postgres
from rollout_world import FLEET, Device, World, quick

from modelwave_controller.service.broker_address import ServiceBroker
from modelwave_controller.service.link import ServiceLink
from modelwave_controller.service.repeats import Repeats
from modelwave_controller.service.writer import BATCH_SECONDS, MAX_BATCH, Inbox, Writer
from modelwave_shared import topics

RUNS = 2
GOAL = 0.6
LIMIT_SECONDS = 300
ANSWERING = 5  # devices that answer, for each that repeats itself ten times
KINDS = (IDLE, ANSWERS)


def rows(long: bool) -> Iterator[Row]:
    """Yields a row for each database and kind of report."""
    devices = 10_000 if long else 1_000
    with tempfile.TemporaryDirectory() as name:
        for kind in KINDS:
            yield _row("SQLite", kind, Path(name), "", devices)
        if INITDB:
            for kind in KINDS:
                with postgres() as url:
                    yield _row("PostgreSQL", kind, Path(name), url, devices)


def _row(database: str, kind: str, folder: Path, url: str, devices: int) -> Row:
    best = {"raw": 0.0, "service": 0.0}
    with tempfile.TemporaryDirectory(dir=folder) as name:
        world = World(Path(name), url, devices * (ANSWERING if kind == ANSWERS else 1))
        with contextlib.closing(world):
            for run in range(RUNS):
                writer = remembering(world)
                messages = _messages(world, kind, run)
                file = Path(name) / "packets"
                file.write_bytes(packets(messages))
                with flooding(file) as port:
                    raw = _raw(kind, url, Path(name) / f"raw-{run}.db", port, messages)
                    service = _service(writer, port, len(messages))
                best["raw"] = max(best["raw"], len(messages) / raw)
                best["service"] = max(best["service"], len(messages) / service)
    detail = f"{best['service']:,.0f} reports a second, the raw loop {best['raw']:,.0f}"
    what = f"durable reports a second against the raw loop, {database}, {kind}"
    return Row(what, best["service"] / best["raw"], GOAL, "×", detail, more_is_better=True)


def _messages(world: World, kind: str, run: int) -> Messages:
    """Returns the next reports of all devices."""
    devices = list(world.devices.values())
    found = []
    if kind == ANSWERS:
        if run == 0:
            world.start(1, quick(100))
            world.tick()
        order = world.ordered(devices[0])  # one for all slots
        assert order
        for device in devices:
            device.take(order, "", f"step {ascii_letters[run]}")
            found.append(_said(device, device.report()))
        return found
    for number in range(10):
        free = {"flash": 10**6 - number, "ram": 10**6 - 100 * number - run}
        found += [_said(device, device.report(free=free)) for device in devices]
    return found


def _said(device: Device, report: bytes) -> tuple[str, bytes]:
    return topics.reported(FLEET, device.name), report


def remembering(world: World) -> Writer:
    """Returns the writer of a service that has heard each device's last report, and presence, as
    after a connect."""
    repeats = Repeats(world.store, lambda: world.steady)
    writer = Writer(world.store, FLEET, Inbox(), lambda: world.now, repeats=repeats)
    for number, device in enumerate(world.devices.values()):
        device.n -= 1
        writer.inbox.put(topics.reported(FLEET, device.name), device.report())
        writer.inbox.put(topics.presence(FLEET, device.name), b"online")
        if number % 500 == 0:  # the inbox has a bound
            writer.write_batch(0)
    while writer.write_batch(0):
        pass
    assert len(repeats._said) == len(world.devices)
    writer.counts.clear()
    return writer


def _service(writer: Writer, port: int, number: int) -> float:
    """Returns the seconds in which the service stores the messages."""
    inbox = writer.inbox
    link = ServiceLink(ServiceBroker("127.0.0.1", port), FLEET, inbox.put, lambda: None)
    begun = time.monotonic()
    writer.start()
    link.start()
    _wait(lambda: writer.counts["stored"] >= number)
    writer.stop()
    seconds = time.monotonic() - begun
    link.stop()
    assert not inbox.counts["dropped"], "the inbox holds them all"
    assert not writer.counts["bad"] + writer.counts["lost"]
    return seconds


def _raw(kind: str, url: str, file: Path, port: int, messages: Messages) -> float:
    """Returns the seconds in which the raw loop stores the messages."""
    number, (insert, close) = len(messages), opened(kind, url, file, messages)
    queue: list[tuple[str, bytes]] = []
    lock = threading.Lock()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)

    def heard(_client: Any, _data: Any, message: Any) -> None:
        with lock:
            queue.append((message.topic, message.payload))

    client.on_message = heard
    client.on_connect = lambda *_: client.subscribe("#", 1)
    stored = 0
    begun = time.monotonic()
    client.connect("127.0.0.1", port)
    client.loop_start()
    while stored < number:
        with lock:
            batch = queue[:MAX_BATCH]
            del queue[:MAX_BATCH]
        if batch:
            insert(batch)
            stored += len(batch)
        if len(batch) < MAX_BATCH:
            time.sleep(BATCH_SECONDS)
        assert time.monotonic() < begun + LIMIT_SECONDS
    seconds = time.monotonic() - begun
    client.disconnect()
    client.loop_stop()
    close()
    return seconds


def _wait(done: Callable[[], bool]) -> None:
    limit = time.monotonic() + LIMIT_SECONDS
    while not done():
        assert time.monotonic() < limit, "the service has not stored all messages"
        time.sleep(0.005)
