"""paho's client as the service uses it, on a broker that is only a socket."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from modelwave_controller.broker import packets
from modelwave_controller.service.client import PIECE_BYTES, READ_BYTES, BufferedSocket, Client

DEADLINE_SECONDS = 120
CONNACK = b"\x20\2\0\0"


@pytest.fixture
def ends() -> Iterator[tuple[BufferedSocket, socket.socket]]:
    here, there = socket.socketpair()
    with here, there:
        yield BufferedSocket(here), there


def test_what_is_left_of_a_read_is_pending(ends: tuple[BufferedSocket, socket.socket]) -> None:
    here, there = ends
    there.sendall(b"abcdef")
    assert here.pending() == 0
    assert here.recv(1) == b"a"
    assert here.pending() == 5
    assert here.recv(100) == b"bcdef"
    there.sendall(b"g")
    assert here.recv(100) == b"g"


def test_end_and_an_empty_socket_are_told_as_by_the_socket(
    ends: tuple[BufferedSocket, socket.socket],
) -> None:
    here, there = ends
    here.setblocking(False)
    with pytest.raises(BlockingIOError):
        here.recv(1)
    there.close()
    assert here.recv(1) == b""


@contextmanager
def connected(data: bytes, heard: list[tuple[str, bytes, bool]]) -> Iterator[tuple[Client, Any]]:
    """A client, and the broker's end of its connection, which has sent `data` after the CONNACK."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        client.on_heard = lambda *message: heard.append(message)
        client.connect("127.0.0.1", server.getsockname()[1])
        broker, _ = server.accept()
        with broker:
            broker.sendall(CONNACK + data)
            yield client, broker
            client.disconnect()


def test_all_that_has_come_is_taken_at_once_in_order_and_also_what_is_cut() -> None:
    sent = [packets.publish(b"a", b"%d" % number, 0, retain=False) for number in range(50)]
    data = b"".join(sent)
    heard: list[tuple[str, bytes, bool]] = []
    with connected(data[:-2], heard) as (client, broker):
        assert client.loop_read() == 0
        assert heard == [("a", b"%d" % number, False) for number in range(49)]
        broker.sendall(data[-2:])
        assert client.loop_read() == 0
        assert heard[49:] == [("a", b"49", False)]


def test_each_message_is_told_and_acknowledged_once_also_between_other_packets() -> None:
    sent = [packets.publish(b"a", b"x" * n, n, retain=n == 3) for n in range(1, 9)]
    heard: list[tuple[str, bytes, bool]] = []
    with connected(b"".join([*sent[:4], b"\xd0\0", *sent[4:]]), heard) as (client, broker):
        broker.recv(1000)  # the CONNECT
        assert client.loop_read() == 0
        assert heard == [("a", b"x" * n, n == 3) for n in range(1, 9)]
        assert client.loop_write() == 0
        acknowledged = b"".join(b"\x40\2" + n.to_bytes(2, "big") for n in range(1, 9))
        assert broker.recv(len(acknowledged), socket.MSG_WAITALL) == acknowledged


def test_a_topic_that_is_no_text_is_acknowledged_and_not_told() -> None:
    data = packets.publish(b"\xff", b"", 1, retain=False) + packets.publish(
        b"b", b"", 2, retain=True
    )
    heard: list[tuple[str, bytes, bool]] = []
    with connected(data + data, heard) as (client, broker):
        broker.recv(1000)  # the CONNECT
        assert client.loop_read() == 0
        assert heard == [("b", b"", True)] * 2
        assert client.loop_write() == 0
        assert len(broker.recv(16, socket.MSG_WAITALL)) == 16


class Played:
    """A client, and its broker, whose part the test plays. `heard` has the payloads that came, and
    `acknowledged` the packet ids of what was sent."""

    def __init__(self, client: Client, broker: socket.socket) -> None:
        self.client = client
        self.broker = broker
        self.heard: list[bytes] = []
        self.acknowledged: list[int] = []
        client.on_heard = lambda _topic, payload, _retained: self.heard.append(payload)
        client.on_acknowledged = self.acknowledged.append
        self.broker_reads(b"\x10")

    def broker_reads(self, first: bytes) -> bytes:
        """Returns what the client has sent, which begins so."""
        data = self.broker.recv(2**20)
        assert data.startswith(first)
        return data


@pytest.fixture
def played() -> Iterator[Played]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        client.connect("127.0.0.1", server.getsockname()[1])
        broker, _ = server.accept()
        broker.settimeout(DEADLINE_SECONDS)
        with broker:
            yield Played(client, broker)
            client.disconnect()


def test_what_has_come_is_acknowledged_also_if_paho_has_read_it(played: Played) -> None:
    large = packets.publish(b"a", b"x" * READ_BYTES, 3, retain=False)
    small = [packets.publish(b"a", b"y", number, retain=False) for number in (1, 2)]
    played.broker.sendall(CONNACK + b"".join(small) + large)
    while len(played.heard) < 3:
        assert played.client.loop_read() == 0
    assert [len(payload) for payload in played.heard] == [1, 1, READ_BYTES]
    expected = b"".join(packets.acknowledgement(packets.PUBACK, number) for number in (1, 2, 3))
    data = b""
    while len(data) < len(expected):
        data += played.broker_reads(b"")
    assert data == expected


def test_messages_are_sent_together_and_only_what_is_acknowledged_counts(played: Played) -> None:
    for number in (1, 2, 3):
        played.client.put("a/b", b"%d" % number, number, retain=True)
    assert played.client.want_write() is False
    played.client.flush()
    expected = [packets.publish(b"a/b", b"%d" % n, n, retain=True) for n in (1, 2, 3)]
    assert played.broker_reads(b"\x33") == b"".join(expected)
    answers = b"".join(packets.acknowledgement(packets.PUBACK, number) for number in (3, 1))
    played.broker.sendall(CONNACK + answers + b"\x40\2\0")
    assert played.client.loop_read() == 0
    assert played.acknowledged == [3, 1]
    played.broker.sendall(b"\2")
    assert played.client.loop_read() == 0
    assert played.acknowledged == [3, 1, 2]


def test_many_messages_wait_in_pieces_of_a_bounded_size(played: Played) -> None:
    for number in range(1, 9):
        played.client.put("a", b"x" * (PIECE_BYTES // 2), number, retain=True)
    assert len(played.client._put) <= 2


@pytest.mark.parametrize(
    "broken",
    [
        b"\x30\3\0\x7fa",  # a topic that ends beyond the packet
        b"\x32\3\0\1a",  # no packet id, at QoS 1
        b"\x36\6\0\1a\0\1x",  # QoS 3
        b"\x40\1\0",  # half a packet id is acknowledged
    ],
)
def test_a_broken_packet_is_neither_a_message_nor_an_acknowledgement(
    played: Played, broken: bytes
) -> None:
    played.broker.sendall(CONNACK + packets.publish(b"a", b"x", retain=False) + broken)
    with suppress(Exception):  # as paho ends it
        played.client.loop_read()
    assert played.heard == [b"x"]
    assert played.acknowledged == []
