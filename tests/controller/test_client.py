"""paho's client as the service uses it, on a broker that is only a socket."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from modelwave_controller.broker import packets
from modelwave_controller.service.client import BufferedSocket, Client

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
