"""MQTT packets: as the client of boards reads them, and as the embedded broker does."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import Any
from unittest.mock import patch

from modelwave_agent.board import mqtt, mqtt_packets
from modelwave_agent.board.mqtt import Acknowledgement, MqttLink
from modelwave_agent.ports import LinkLost
from modelwave_controller.broker import limits, packets
from modelwave_controller.broker.connection import Connection
from modelwave_controller.broker.embedded import EmbeddedBroker
from modelwave_controller.broker.errors import ClientRefused
from modelwave_controller.broker.settings import EmbeddedBrokerSettings
from tests.fuzz.judging import require_plain, run

# The board's client.

Taken = tuple[str, bytes, int]  # topic, payload, packet id
MOST_READ = 1 << 28  # a length in four bytes is less
# In place of the limits of boards: long inputs take long.
MOST_PAYLOAD_BYTES, SKIPPED_BYTES = 60, 16


def board(data: bytes) -> bool:
    """The board takes the messages that the controller's reader finds in the same bytes, and the
    same whether they come at once or in pieces."""
    with patch.multiple(mqtt, MAX_PAYLOAD_BYTES=MOST_PAYLOAD_BYTES, SKIPPED_BYTES=SKIPPED_BYTES):
        return _taken_alike(data)


def _taken_alike(data: bytes) -> bool:
    messages, why = _read_by_board(data, 4096)
    assert (messages, why) == _read_by_board(data, 1)
    require_plain(why)
    theirs = _read_by_controller(data, len(messages))
    assert len(messages) == len(theirs)
    for mine, its in zip(messages, theirs, strict=True):
        if its is not None and len(its[1]) <= MOST_PAYLOAD_BYTES:
            assert mine == its
        elif its is not None:
            assert mine == (its[0], bytes(MOST_PAYLOAD_BYTES), its[2])
    return bool(messages)


class _Stream:
    """Gives the bytes in pieces, each twice as long as the one before; then the connection is
    closed."""

    def __init__(self, data: bytes, first: int) -> None:
        self._data, self._most, self._at = data, first, 0

    async def read(self, size: int) -> bytes:
        part = self._data[self._at : self._at + min(size, self._most)]
        self._at += len(part)
        self._most *= 2
        return part


class _News:
    """In place of an event: whoever waits for it is resumed by the target. At news the next task
    waits for its answer."""

    def __init__(self, link: MqttLink) -> None:
        self._link = link
        self._awaited = [(mqtt_packets.PUBACK, 2), (mqtt_packets.SUBACK, 1)]

    def __await__(self) -> Any:
        yield

    async def wait(self) -> None:
        await self

    def set(self) -> None:
        if self._link._wanted is None and self._awaited:
            self._link._wanted = Acknowledgement(*self._awaited.pop())

    def clear(self) -> None: ...


def _read_by_board(data: bytes, first: int) -> tuple[list[Taken], str]:
    """Returns the messages that it has taken, and why it gave up the connection. It waits for a
    CONNACK, then for a SUBACK, then for a PUBACK."""
    link = MqttLink("h", 1, "pico-1")
    link._why, link._stream, link._news = "", _Stream(data, first), _News(link)  # type: ignore[assignment]
    link._wanted = Acknowledgement(mqtt_packets.CONNACK)
    messages: list[Taken] = []
    work = link._listen()
    try:
        while True:
            work.send(None)  # until it holds as much as it may
            assert link._held
            assert len(link._held) <= link._room + 1
            messages.append(link._held.pop(0))
    except (LinkLost, UnicodeError) as error:  # `_run` loses the connection for both
        messages += link._held
        return messages, type(error).__name__ if isinstance(error, UnicodeError) else str(error)


def _read_by_controller(data: bytes, most: int) -> list[Taken | None]:
    """Returns the first PUBLISH packets, up to `most`; None for one that breaks the standard."""
    found: list[Taken | None] = []
    at = 0
    while at < len(data) and len(found) < most:
        try:
            head = packets.next_head(data, at, MOST_READ)
        except ClientRefused:
            break
        if head is None:
            break
        at = head.end
        if head.kind == packets.PUBLISH:
            found.append(_published(head.flags, data[head.start : head.end]))
    return found


def _published(flags: int, body: bytes) -> Taken | None:
    try:
        one = packets.read_publish(flags, body)
    except ClientRefused:
        return None
    return one.topic, one.payload, one.packet_id


# The embedded broker.


def broker(data: bytes) -> bool:
    """A client sends the bytes after the first, which says how long the first piece is; each other
    piece is twice as long as the one before. Another client reads everything. Nothing is raised or
    logged as an error, and what comes back is whole packets. Returns whether the client was
    admitted."""
    turns = _Turns()
    asyncio._set_running_loop(turns)  # type: ignore[arg-type]
    try:
        with _no_errors():
            return _served(data[1:], 1 + data[0] if data else 1, turns)
    finally:
        asyncio._set_running_loop(None)


def _served(data: bytes, first: int, turns: "_Turns") -> bool:
    served = EmbeddedBroker(_SETTINGS)
    watching, client = _Client(served, turns), _Client(served, turns)
    watching.send(_CONNECT + _SUBSCRIBE)
    at, size = 0, first
    while at < len(data):
        client.send(data[at : at + size])
        at, size = at + size, 2 * size
    assert client.connection.session.queued_bytes <= limits.MAX_QUEUED_FOR_A_CONTROLLER
    for one in (client, watching):
        one.close()
        one.require_whole_packets()
    assert not served._open
    return client.answered.startswith(_ACCEPTED)


class _Turns:
    """In place of asyncio's loop, which takes most of the time: calls what is to be called soon
    when it is told to, and nothing later."""

    def __init__(self) -> None:
        self._soon: list[tuple[Callable[..., object], tuple[Any, ...]]] = []

    def call_soon(self, call: Callable[..., object], *given: Any) -> None:
        self._soon.append((call, given))

    def call_later(self, _seconds: float, _call: Callable[[], object]) -> "_Turns":
        return self

    def create_task(self, work: Coroutine[Any, Any, None]) -> "_Turns":
        self.call_soon(run, work)
        return self

    def cancel(self) -> None:
        """What is later does not come, and a task has ended."""

    def time(self) -> float:
        return 0.0

    def take(self) -> None:
        while self._soon:
            soon, self._soon = self._soon, []
            for call, given in soon:
                call(*given)


_ACCEPTED = packets.connack(packets.ACCEPTED)
_CONNECT = bytes((0x10, 14)) + b"\0\4MQTT\4\2\0\0\0\2me"
_SETTINGS = EmbeddedBrokerSettings()
_SUBSCRIBE = packets.packet(0x82, b"\0\1\0\1#\1")


class _Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.written = b""
        self.ended = False

    def write(self, data: Any) -> None:
        self.written += data

    def abort(self) -> None:
        self.ended = True

    close = abort

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def pause_reading(self) -> None: ...

    resume_reading = pause_reading


class _Client:
    def __init__(self, served: EmbeddedBroker, turns: _Turns) -> None:
        self.connection = Connection(served)
        self.transport = _Transport()
        self.connection.connection_made(self.transport)
        self._turns = turns

    def send(self, data: bytes) -> None:
        if not self.transport.ended:
            self.connection.data_received(data)
        self._turns.take()

    def close(self) -> None:
        self.connection.connection_lost(None)
        self._turns.take()

    @property
    def answered(self) -> bytes:
        return self.transport.written

    def require_whole_packets(self) -> None:
        at = 0
        while at < len(self.answered):
            head = packets.next_head(self.answered, at, MOST_READ)
            assert head is not None
            assert head.end <= len(self.answered)
            if head.kind == packets.PUBLISH:
                packets.read_publish(head.flags, self.answered[head.start : head.end])
            at = head.end


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(f"{record.getMessage()} {record.exc_info}")


_LOGGER = logging.getLogger("modelwave_controller.broker")


@contextlib.contextmanager
def _no_errors() -> Iterator[None]:
    """Nothing may be logged as an error meanwhile."""
    errors = _Errors()
    _LOGGER.addHandler(errors)
    _LOGGER.propagate = False
    try:
        yield
    finally:
        _LOGGER.removeHandler(errors)
        _LOGGER.propagate = True
    assert not errors.records, errors.records[0]


def board_seeds() -> list[bytes]:
    accepted = bytes((mqtt_packets.CONNACK, 2, 0, 0))
    granted = packets.suback(1, [1, 1])
    some = packets.publish(b"a/b", b"hello", 7, retain=True)
    other = packets.publish(b"c", b"", retain=False)
    done = packets.acknowledgement(packets.PUBACK, 2)
    large = packets.publish(b"c", bytes(MOST_PAYLOAD_BYTES + 1), retain=False)
    return [
        accepted + granted + some + other + done + bytes((mqtt_packets.PINGRESP, 0)) + some,
        accepted + some + granted,
        accepted + other + large + other,
    ]


def broker_seeds() -> list[bytes]:
    connect = mqtt_packets.connect("pi-1", "user", "secret", "will/pi-1", b"offline", 30)
    said = mqtt_packets.publish("reported/pi-1", b"{}", True, 1)
    asked = mqtt_packets.subscribe(["desired/+/+", "#"], 2)
    twice = packets.packet(0x34, b"\0\1a\0\5x") + packets.packet(0x62, b"\0\5")
    over = packets.packet(0xA2, b"\0\3\0\1#") + mqtt_packets.PINGREQ + mqtt_packets.DISCONNECT
    whole = [_CONNECT, connect + asked + said + said + over, _CONNECT + twice + said]
    return [bytes((first,)) + one for one in whole for first in (0, 255)]
