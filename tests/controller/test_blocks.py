"""Tests file blocks: who may request what, and what a board gets from a real broker."""

import asyncio
import hashlib
import queue
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from broker_hosts import PASSWORDS, embedded, settings_with_users
from paho.mqtt.enums import CallbackAPIVersion
from rollout_world import World
from simulated_fleet import DEADLINE_SECONDS, HAS_MOSQUITTO, free_port, mosquitto, poll
from test_link import StubBroker
from tests.tools import MOSQUITTO_MISSING

from modelwave_controller.service import blocks as service
from modelwave_controller.service import connection as connections
from modelwave_controller.service import link as links
from modelwave_controller.service.blocks import BURST_BYTES, RATE_BYTES, Blocks, Job, Requests
from modelwave_controller.service.broker_address import ServiceBroker
from modelwave_controller.service.serve import Service
from modelwave_shared import blocks, topics
from modelwave_shared.blocks import BLOCK_BYTES, MAX_BLOCKS

FLEET = "demo"
DATA = bytes(range(256)) * 80 + b"the end"  # 20 blocks and a short one
SHA256 = hashlib.sha256(DATA).digest()
OTHER = hashlib.sha256(b"another").digest()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "BACK_OFF_SECONDS", (0.05,))


# What is asked for.


def put(requests: Requests, device: str, sha256: bytes, offset: int, count: int) -> None:
    requests.put(topics.file_get(FLEET, device), blocks.request(sha256, offset, count))


def test_requests_are_taken_in_the_order_of_their_coming_a_device_at_a_time() -> None:
    requests = Requests(FLEET)
    for device in ("d1", "d2", "d3"):
        put(requests, device, SHA256, 0, 1)
    for device in ("d1", "d2"):
        found = requests.take()
        assert found is not None
        assert found[0] == device
        put(requests, device, SHA256, BLOCK_BYTES, 1)  # behind those who wait already
    taken = [requests.take() for _ in range(4)]
    assert [one and one[0] for one in taken] == ["d3", "d1", "d2", None]


def test_newer_request_takes_the_place_of_an_older_one() -> None:
    requests = Requests(FLEET)
    put(requests, "d1", SHA256, 0, 8)
    put(requests, "d2", SHA256, 0, 8)
    put(requests, "d1", SHA256, 3 * BLOCK_BYTES, 8)
    assert requests.take() == ("d1", Job(SHA256, 3 * BLOCK_BYTES, 8))
    put(requests, "d2", OTHER, 8 * BLOCK_BYTES, 2)  # of another file: it goes on with nothing
    assert requests.take() == ("d2", Job(OTHER, 8 * BLOCK_BYTES, 2))
    assert requests.take() is None


def test_request_that_goes_on_where_the_older_one_ends_is_added_to_it() -> None:
    requests = Requests(FLEET)
    put(requests, "d1", SHA256, 100, 8)
    put(requests, "d1", SHA256, 100 + 8 * BLOCK_BYTES, 4)
    assert requests.take() == ("d1", Job(SHA256, 100, 12))


def test_requests_that_go_on_and_on_are_no_more_than_one_may_be() -> None:
    requests = Requests(FLEET)
    for step in range(5):
        put(requests, "d1", SHA256, step * 8 * BLOCK_BYTES, 8)
        assert len(requests) == 1
    found = requests.take()
    assert found is not None
    assert found[1].count <= MAX_BLOCKS


def test_requests_that_are_none_are_counted_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    requests = Requests(FLEET)
    good = topics.file_get(FLEET, "d1")
    bad = [
        (good, b""),
        (good, blocks.request(SHA256, 0, 1)[:-1]),
        (good, blocks.request(SHA256, 0, 1) + b"\0"),
        (good, blocks.request(SHA256, 0, 0)),
        (good, blocks.request(SHA256, 0, MAX_BLOCKS + 1)),
        (good, blocks.request(SHA256, 2**32 - 1, 1)),
        (good, b"x" * 2**16),
        (topics.file_get(FLEET, "\x1b[31m\n"), blocks.request(SHA256, 0, 1)),
        (topics.file_get(FLEET, ""), blocks.request(SHA256, 0, 1)),
        (topics.file_get(FLEET, "d" * 1000), blocks.request(SHA256, 0, 1)),
    ]
    for topic, payload in bad:
        requests.put(topic, payload)
    assert requests.take() is None
    assert requests.counts["bad"] == len(bad)
    assert len(caplog.records) == 1
    assert "file blocks: cannot read a request" in caplog.text


def test_devices_that_wait_have_a_bound_and_those_who_wait_keep_their_place(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service, "MAX_DEVICES", 3)
    requests = Requests(FLEET)
    for number in range(6):
        put(requests, f"d{number}", SHA256, 0, 1)
    put(requests, "d1", SHA256, 1, 1)
    taken = [requests.take() for _ in range(4)]
    assert [one and one[0] for one in taken] == ["d0", "d1", "d2", None]
    assert requests.counts["dropped"] == 3
    assert len(caplog.records) == 1


# How much a device gets.


class Time:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def taken_by_a_flood(requests: Requests, device: str) -> int:
    """Bytes that it gets at once, as it asks again and again."""
    count = 0
    while count < 10 * BURST_BYTES:
        put(requests, device, SHA256, 0, MAX_BLOCKS)
        found = requests.take()
        if found is None:
            break
        assert found[0] == device
        count += found[1].bytes
    return count


def test_device_that_asks_without_end_gets_a_burst_and_then_its_rate() -> None:
    clock = Time()
    requests = Requests(FLEET, clock)
    turn = MAX_BLOCKS * BLOCK_BYTES
    assert BURST_BYTES <= taken_by_a_flood(requests, "d1") <= BURST_BYTES + turn
    seconds = 60
    count = 0
    for _ in range(seconds * 10):
        clock.now += 0.1
        count += taken_by_a_flood(requests, "d1")
    assert abs(count - seconds * RATE_BYTES) <= turn


def test_device_that_was_quiet_for_long_gets_no_more_than_a_burst() -> None:
    clock = Time()
    requests = Requests(FLEET, clock)
    at_once = taken_by_a_flood(requests, "d1")
    clock.now += 3600
    assert taken_by_a_flood(requests, "d1") == at_once


def test_request_beyond_the_allowance_waits_for_its_time_and_keeps_nobody_waiting() -> None:
    clock = Time()
    requests = Requests(FLEET, clock)
    assert requests.wait() is None
    taken_by_a_flood(requests, "greedy")
    put(requests, "modest", SHA256, 0, 1)
    assert requests.wait() == 0
    assert requests.take() == ("modest", Job(SHA256, 0, 1))
    pause = requests.wait()
    assert pause is not None
    assert 0 < pause <= MAX_BLOCKS * BLOCK_BYTES / RATE_BYTES
    clock.now += pause / 2
    assert requests.take() is None
    clock.now += pause / 2 + 1e-6
    assert requests.take() == ("greedy", Job(SHA256, 0, MAX_BLOCKS))


def test_board_fetches_100_kb_without_a_pause() -> None:
    requests = Requests(FLEET, Time())
    for board in range(100):
        for at in range(0, 100 * 1024, MAX_BLOCKS * BLOCK_BYTES):
            put(requests, f"d{board}", SHA256, at, MAX_BLOCKS)
            assert requests.take() == (f"d{board}", Job(SHA256, at, MAX_BLOCKS))


def test_device_that_was_quiet_is_forgotten_and_those_kept_have_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "MAX_DEVICES", 3)
    clock = Time()
    requests = Requests(FLEET, clock)
    for number in range(3):
        put(requests, f"d{number}", SHA256, 0, MAX_BLOCKS)
        assert requests.take()
    put(requests, "d3", SHA256, 0, 1)
    assert requests.take() is None
    assert len(requests.allowance) == 3
    assert requests.wait() == BLOCK_BYTES / RATE_BYTES
    clock.now += MAX_BLOCKS * BLOCK_BYTES / RATE_BYTES
    assert requests.take() == ("d3", Job(SHA256, 0, 1))
    assert len(requests.allowance) == 1


# What is sent.


def test_request_that_waits_is_served_when_its_time_comes_though_nothing_else_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "BURST_BYTES", 0)
    with embedded() as host, serving(host.port, tmp_path), board(host.port) as asking:
        asking.ask(SHA256, 0, 2)
        assert asking.receive(2) == [block(0), block(BLOCK_BYTES)]
        asking.ask(SHA256, 2048, 1)  # 1/32 s too early
        assert asking.receive(1) == [block(2048)]


class Board:
    """A device at a broker, which gets the payloads of its block topic."""

    def __init__(self, port: int, name: str = "d1", **login: str) -> None:
        self.get = topics.file_get(FLEET, name)
        self.blocks: queue.Queue[bytes] = queue.Queue()
        self.qos: set[int] = set()
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv311
        )
        if login:
            self.client.username_pw_set(name, login["password"])
        subscribed: queue.Queue[object] = queue.Queue()
        self.client.on_subscribe = lambda *_: subscribed.put(None)
        self.client.on_message = self._on_message
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe(topics.file_block(FLEET, name), 1)
        subscribed.get(timeout=DEADLINE_SECONDS)

    def _on_message(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        self.qos.add(message.qos)
        self.blocks.put(bytes(message.payload))

    def ask(self, sha256: bytes, offset: int, count: int) -> None:
        self.client.publish(self.get, blocks.request(sha256, offset, count), 1)

    def receive(self, count: int) -> list[bytes]:
        return [self.blocks.get(timeout=DEADLINE_SECONDS) for _ in range(count)]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def serving(port: int, folder: Path, **login: str) -> Iterator[Blocks]:
    files = folder / "files"
    files.mkdir(exist_ok=True)
    (files / SHA256.hex()).write_bytes(DATA)
    made = Blocks(ServiceBroker("127.0.0.1", port, **login), FLEET, files)
    made.start()
    try:
        poll(lambda: made.link.current is not None)
        yield made
    finally:
        made.stop()
        assert not made.alive


@contextmanager
def board(port: int, name: str = "d1", **login: str) -> Iterator[Board]:
    made = Board(port, name, **login)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(params=["embedded", "mosquitto"])
def port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    if request.param == "embedded":
        with embedded() as host:
            yield host.port
    elif not HAS_MOSQUITTO:
        pytest.skip(MOSQUITTO_MISSING)
    else:
        with mosquitto(tmp_path) as found:
            yield found


def block(offset: int, sha256: bytes = SHA256) -> bytes:
    return blocks.head(sha256, offset) + DATA[offset : offset + BLOCK_BYTES]


def test_blocks_come_in_order_and_need_not_be_acknowledged(port: int, tmp_path: Path) -> None:
    with serving(port, tmp_path), board(port) as asking:
        asking.ask(SHA256, 100, 3)
        assert asking.receive(3) == [block(100 + at * BLOCK_BYTES) for at in range(3)]
        assert asking.qos == {0}


def test_blocks_are_not_retained(port: int, tmp_path: Path) -> None:
    with serving(port, tmp_path):
        with board(port) as asking:
            asking.ask(SHA256, 0, 1)
            assert asking.receive(1) == [block(0)]
        with board(port) as asking:
            asking.ask(SHA256, 2048, 1)
            assert asking.receive(1) == [block(2048)]


def test_end_of_the_file_ends_the_answer(port: int, tmp_path: Path) -> None:
    start = len(DATA) - BLOCK_BYTES - 7
    with serving(port, tmp_path), board(port) as asking:
        asking.ask(SHA256, start, MAX_BLOCKS)
        last = blocks.head(SHA256, len(DATA) - 7) + b"the end"
        assert asking.receive(2) == [block(start), last]
        asking.ask(SHA256, 0, 1)
        assert asking.receive(1) == [block(0)]  # nothing came between


def test_what_is_not_there_is_answered_with_an_empty_block_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with embedded() as host, serving(host.port, tmp_path), board(host.port) as asking:
        for sha256, offset in ((OTHER, 0), (OTHER, 0), (SHA256, len(DATA)), (SHA256, 2**31 - 1)):
            asking.ask(sha256, offset, 2)
            assert asking.receive(1) == [blocks.head(sha256, offset)]
    assert caplog.text.count("d1 requested a file") == 1
    assert OTHER.hex() in caplog.text


def test_file_that_cannot_be_read_is_said_and_not_taken_for_absent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with embedded() as host, serving(host.port, tmp_path) as ours, board(host.port) as asking:
        (ours.folder / OTHER.hex()).mkdir()
        asking.ask(OTHER, 0, 1)
        poll(lambda: ours.requests.counts["failed"] == 1)
        asking.ask(SHA256, 0, 1)
        assert asking.receive(1) == [block(0)]
    assert "Is a directory" in caplog.text


def test_whoever_asks_for_much_does_not_keep_others_waiting(tmp_path: Path) -> None:
    """The small request is served before what the greedy device asks for meanwhile."""
    with embedded() as host, serving(host.port, tmp_path) as ours:
        order: list[str] = []
        answer = ours._answer

        def noting(device: str, job: Job) -> Any:
            order.append(device)
            if device == "greedy" and len(order) == 1:
                put(ours.requests, "modest", SHA256, 0, 1)
            if device == "greedy" and len(order) < 6:
                put(ours.requests, "greedy", SHA256, 0, MAX_BLOCKS)
            return answer(device, job)

        ours._answer = noting  # type: ignore[method-assign]
        ours._receive(topics.file_get(FLEET, "greedy"), blocks.request(SHA256, 0, MAX_BLOCKS))
        poll(lambda: "modest" in order)
        assert order[:2] == ["greedy", "modest"]


def test_device_gets_what_it_asked_for_and_cannot_ask_for_another(tmp_path: Path) -> None:
    with embedded(settings_with_users()) as host:
        login = {"user": "controller", "password": PASSWORDS["controller"]}
        with (
            serving(host.port, tmp_path, **login),
            board(host.port, "cam-1", password="one") as one,
            board(host.port, "cam-2", password="two") as two,
        ):
            one.ask(SHA256, 0, 1)
            assert one.receive(1) == [block(0)]
            two.get = one.get
            two.ask(SHA256, 0, 1)  # its connection ends by that
            one.ask(SHA256, 2048, 1)
            assert one.receive(1) == [block(2048)]
            assert two.blocks.empty()


def test_thread_that_dies_ends_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Blocks, "_run", lambda _blocks: None)
    with closing(World(tmp_path)) as world:
        running = Service(world.home, world.store, tick_seconds=0.01)
        with pytest.raises(RuntimeError, match="a thread of the service has ended"):
            asyncio.run(running.run(lambda _: None))


def test_broker_that_comes_back_is_served_again(tmp_path: Path) -> None:
    if not HAS_MOSQUITTO:
        pytest.skip(MOSQUITTO_MISSING)
    port = free_port()
    with mosquitto(tmp_path, port=port):
        running = serving(port, tmp_path)
        ours = running.__enter__()
    try:
        poll(lambda: ours.link.current is None)
        with mosquitto(tmp_path, port=port):
            poll(lambda: ours.link.current is not None)
            with board(port) as asking:
                asking.ask(SHA256, 0, 1)
                assert asking.receive(1) == [block(0)]
    finally:
        running.__exit__(None, None, None)


def test_broker_that_takes_nothing_holds_few_blocks_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "CLOSE_SECONDS", 0.1)
    with StubBroker(deaf_after=2) as stub:
        with serving(stub.port, tmp_path) as ours:
            (ours.folder / OTHER.hex()).write_bytes(bytes(MAX_BLOCKS * BLOCK_BYTES))
            connection = ours.link.current
            assert connection is not None
            for number in range(900):  # 14 MB, more than the buffers on the way hold
                topic = topics.file_get(FLEET, f"d{number}")
                ours._receive(topic, blocks.request(OTHER, 0, MAX_BLOCKS))
            poll(lambda: connection.unacknowledged == service.ON_THEIR_WAY)
            assert len(ours._ready) <= MAX_BLOCKS
            assert len(connection._client._out_packet) <= service.ON_THEIR_WAY
        stub.hears_again.set()
