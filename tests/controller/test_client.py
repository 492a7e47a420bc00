"""paho's client as the service uses it, on a broker that is only a socket."""

import socket
from collections.abc import Iterator

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


def test_all_that_has_come_is_taken_at_once_in_order_and_also_what_is_cut() -> None:
    sent = [packets.publish(b"a", b"%d" % number, 0, retain=False) for number in range(50)]
    data = CONNACK + b"".join(sent)
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        client.on_message = lambda _client, _data, message: heard.append(message.payload)
        client.connect("127.0.0.1", server.getsockname()[1])
        broker, _ = server.accept()
        with broker:
            broker.sendall(data[:-2])
            assert client.loop_read() == 0
            assert heard == [b"%d" % number for number in range(49)]
            broker.sendall(data[-2:])
            assert client.loop_read() == 0
            assert heard[49:] == [b"49"]
            client.disconnect()
