"""Raw MQTT 3.1.1 clients for the broker's tests, which can be silent or break the protocol.

They use blocking sockets, with a timeout that only a failing test reaches.
"""

import socket
import struct
from typing import ClassVar, NamedTuple

DEADLINE_SECONDS = 120

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 8, 9, 12, 13, 14


class Packet(NamedTuple):
    type: int
    flags: int
    body: bytes

    @property
    def topic(self) -> str:
        (length,) = struct.unpack_from("!H", self.body)
        return self.body[2 : 2 + length].decode()

    @property
    def payload(self) -> bytes:
        start = 2 + len(self.topic.encode()) + (2 if self.flags & 0x06 else 0)
        return self.body[start:]


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(data)) + data


def packet(kind: int, body: bytes = b"", flags: int = 0) -> bytes:
    length, encoded = len(body), b""
    while True:
        length, digit = divmod(length, 128)
        encoded += bytes([digit | (0x80 if length else 0)])
        if not length:
            return bytes([kind << 4 | flags]) + encoded + body


def connect(
    client_id: str,
    *,
    user: str | None = None,
    password: str = "",
    will: tuple[str, bytes] | None = None,
    keep_alive: int = 60,
    clean: bool = True,
) -> bytes:
    """A CONNECT; the will is retained, as devices leave it."""
    flags = 0x02 if clean else 0
    tail = text(client_id)
    if will is not None:
        flags |= 0x04 | 0x20
        tail += text(will[0]) + text(will[1])
    if user is not None:
        flags |= 0x80 | 0x40
        tail += text(user) + text(password)
    return packet(CONNECT, text("MQTT") + bytes([4, flags]) + struct.pack("!H", keep_alive) + tail)


def publish(
    topic: str, payload: bytes, *, qos: int = 0, retain: bool = False, packet_id: int = 1
) -> bytes:
    identifier = struct.pack("!H", packet_id) if qos else b""
    return packet(PUBLISH, text(topic) + identifier + payload, qos << 1 | retain)


def subscribe(topic_filter: str, qos: int = 0) -> bytes:
    return packet(SUBSCRIBE, struct.pack("!H", 7) + text(topic_filter) + bytes([qos]), 2)


class RawClient:
    """Connected on TCP; sends what it is told and hands out what comes."""

    opened: ClassVar[list["RawClient"]] = []

    def __init__(self, port: int, receive_buffer_bytes: int | None = None) -> None:
        self.socket = socket.socket()
        # Kept, as a socket that nobody holds is closed; the test's fixture closes it.
        self.opened.append(self)
        if receive_buffer_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(DEADLINE_SECONDS)
        self.socket.connect(("127.0.0.1", port))

    @classmethod
    def close_all(cls) -> None:
        while cls.opened:
            cls.opened.pop().socket.close()

    def send(self, *packets: bytes) -> None:
        self.socket.sendall(b"".join(packets))

    def receive(self) -> Packet | None:
        """The next packet, or None when the broker has ended the connection."""
        first = self._exactly(1)
        if first is None:
            return None
        length = shift = 0
        while True:
            byte = self._exactly(1)
            assert byte is not None, "the connection ended within a packet"
            length |= (byte[0] & 0x7F) << shift
            shift += 7
            if not byte[0] & 0x80:
                break
        body = self._exactly(length)
        assert body is not None, "the connection ended within a packet"
        return Packet(first[0] >> 4, first[0] & 0x0F, body)

    def _exactly(self, count: int) -> bytes | None:
        data = b""
        while len(data) < count:
            try:
                piece = self.socket.recv(count - len(data))
            except ConnectionError:
                return None
            if not piece:
                return None
            data += piece
        return data

    def until(self, kind: int) -> list[Packet]:
        """Packets up to the first of that kind, which is the last of the list."""
        seen: list[Packet] = []
        while not seen or seen[-1].type != kind:
            received = self.receive()
            assert received is not None, f"the connection ended; seen before: {seen}"
            seen.append(received)
        return seen

    def until_closed(self) -> list[Packet]:
        seen: list[Packet] = []
        while (received := self.receive()) is not None:
            seen.append(received)
        return seen

    def connect(self, client_id: str, **options: object) -> int:
        """The return code of the CONNACK."""
        self.send(connect(client_id, **options))  # type: ignore[arg-type]
        return self.until(CONNACK)[-1].body[1]

    def subscribe(self, topic_filter: str, qos: int = 0) -> int:
        """The return code of the SUBACK: the granted QoS, or 0x80."""
        self.send(subscribe(topic_filter, qos))
        return self.until(SUBACK)[-1].body[2]

    def hear_until(self, topic: str) -> list[tuple[str, bytes]]:
        """Messages up to the first on that topic, which is the last of the list."""
        heard: list[tuple[str, bytes]] = []
        while not heard or heard[-1][0] != topic:
            message = self.until(PUBLISH)[-1]
            heard.append((message.topic, message.payload))
        return heard
