"""The packets of MQTT 3.1.1, as far as a broker reads and writes them. Pure: takes and returns
bytes and values.

Whatever breaks the protocol raises ClientRefused, and so ends the connection. Subscriptions are
granted at QoS 1 at most (section 3.8.4 allows it), so no message is sent at QoS 2.
"""

import struct
from typing import NamedTuple

from modelwave_controller.broker.errors import ClientRefused

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 8, 9, 10, 11, 12, 13, 14

# Return codes of a CONNACK (section 3.2.2.3).
ACCEPTED, WRONG_VERSION, IDENTIFIER_REJECTED = 0, 1, 2
SERVER_UNAVAILABLE, NOT_AUTHORIZED = 3, 5
# The return code of a SUBACK for a filter that is not granted.
FILTER_REFUSED = 0x80

MAX_QOS = 2
MAX_GRANTED_QOS = 1
PROTOCOL_LEVEL = 4

PONG = bytes((PINGRESP << 4, 0))

# The flags of the fixed header, for those packets whose flags are not zero (section 2.2.2).
_FLAGS = {PUBREL: 2, SUBSCRIBE: 2, UNSUBSCRIBE: 2}


class Will(NamedTuple):
    topic: str
    payload: bytes
    qos: int
    retain: bool


class Connect(NamedTuple):
    """`level` is that of the protocol; the other fields are read for PROTOCOL_LEVEL only."""

    level: int
    client_id: str = ""
    clean: bool = True
    keep_alive_seconds: int = 0
    will: Will | None = None
    user: str | None = None
    password: str | None = None


class Publish(NamedTuple):
    topic: str
    payload: bytes
    qos: int
    retain: bool
    packet_id: int


class Head(NamedTuple):
    """The fixed header of a packet, and where its body begins and ends in the buffer."""

    kind: int
    flags: int
    start: int
    end: int


def next_head(buffer: bytes | bytearray, at: int, max_bytes: int) -> Head | None:
    """Reads the fixed header at `at`; None while it is incomplete. The body may be incomplete: then
    `end` is beyond the buffer. Raises ClientRefused for a longer body than `max_bytes`, so that no
    memory is kept for it."""
    length = shift = 0
    for place in range(at + 1, min(at + 5, len(buffer))):
        byte = buffer[place]
        length |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
            continue
        if length > max_bytes:
            raise ClientRefused(f"sent a packet of {length} bytes; {max_bytes} are allowed")
        start = place + 1
        return Head(buffer[at] >> 4, buffer[at] & 0x0F, start, start + length)
    if len(buffer) - at >= 5:
        raise ClientRefused("sent a packet length of more than four bytes")
    return None


def check_flags(kind: int, flags: int) -> None:
    if kind != PUBLISH and flags != _FLAGS.get(kind, 0):
        raise ClientRefused(f"sent a packet of type {kind} with wrong flags")


class _Reader:
    """Reads the fields of a packet's body; a field beyond its end is malformed."""

    def __init__(self, kind: int, body: bytes, at: int = 0) -> None:
        self._kind, self._body, self._at = kind, body, at

    @property
    def more(self) -> bool:
        return self._at < len(self._body)

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._body):
            raise self.malformed()
        found = self._body[self._at : end]
        self._at = end
        return found

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def packet_id(self) -> int:
        found = self.number()
        if not found:
            raise self.malformed()
        return found

    def blob(self) -> bytes:
        return self.take(self.number())

    def text(self) -> str:
        try:
            found = self.blob().decode()
        except UnicodeDecodeError as error:
            raise self.malformed() from error
        if "\0" in found:
            raise self.malformed()
        return found

    def rest(self) -> bytes:
        return self.take(len(self._body) - self._at)

    def end(self) -> None:
        if self.more:
            raise self.malformed()

    def malformed(self) -> ClientRefused:
        return ClientRefused(f"sent a malformed packet of type {self._kind}")


def read_connect(body: bytes) -> Connect:
    fields = _Reader(CONNECT, body)
    if fields.text() != "MQTT":
        raise fields.malformed()
    level = fields.byte()
    if level != PROTOCOL_LEVEL:
        return Connect(level)
    flags = fields.byte()
    keep_alive = fields.number()
    client_id = fields.text()
    will_qos = flags >> 3 & 3
    has_will, has_user, has_password = flags & 0x04, flags & 0x80, flags & 0x40
    if flags & 1 or will_qos > MAX_QOS or (has_password and not has_user):
        raise fields.malformed()
    if not has_will and flags & 0x38:
        raise fields.malformed()
    will = None
    if has_will:
        will = Will(fields.text(), fields.blob(), will_qos, bool(flags & 0x20))
    user = fields.text() if has_user else None
    password = fields.text() if has_password else None
    fields.end()
    return Connect(level, client_id, bool(flags & 2), keep_alive, will, user, password)


def read_publish(flags: int, body: bytes) -> Publish:
    fields = _Reader(PUBLISH, body)
    qos = flags >> 1 & 3
    if qos > MAX_QOS:
        raise ClientRefused(f"sent a message with QoS {qos}")
    topic = fields.text()
    packet_id = fields.packet_id() if qos else 0
    return Publish(topic, fields.rest(), qos, bool(flags & 1), packet_id)


def read_subscribe(body: bytes, max_filters: int) -> tuple[int, list[tuple[str, int]]]:
    """Returns the packet id, and each filter with its QoS. Raises ClientRefused for more than
    `max_filters`."""
    fields = _Reader(SUBSCRIBE, body)
    packet_id = fields.packet_id()
    asked: list[tuple[str, int]] = []
    while fields.more:
        if len(asked) == max_filters:
            raise ClientRefused(f"sent a SUBSCRIBE of more than {max_filters} filters")
        asked.append((fields.text(), fields.byte()))
    if not asked or any(qos > MAX_QOS for _, qos in asked):
        raise fields.malformed()
    return packet_id, asked


def read_unsubscribe(body: bytes, max_filters: int) -> tuple[int, list[str]]:
    """Returns the packet id, and the filters. Raises ClientRefused for more than `max_filters`."""
    fields = _Reader(UNSUBSCRIBE, body)
    packet_id = fields.packet_id()
    asked: list[str] = []
    while fields.more:
        if len(asked) == max_filters:
            raise ClientRefused(f"sent an UNSUBSCRIBE of more than {max_filters} filters")
        asked.append(fields.text())
    if not asked:
        raise fields.malformed()
    return packet_id, asked


def read_packet_id(kind: int, body: bytes) -> int:
    fields = _Reader(kind, body)
    found = fields.packet_id()
    fields.end()
    return found


def connack(code: int, *, present: bool = False) -> bytes:
    return bytes((CONNACK << 4, 2, present, code))


def acknowledgement(kind: int, packet_id: int) -> bytes:
    """A PUBACK, PUBREC, PUBCOMP or UNSUBACK."""
    return struct.pack("!BBH", kind << 4, 2, packet_id)


def suback(packet_id: int, codes: list[int]) -> bytes:
    return packet(SUBACK << 4, struct.pack("!H", packet_id) + bytes(codes))


def publish(
    topic: bytes, payload: bytes, packet_id: int = 0, *, retain: bool, again: bool = False
) -> bytes:
    """A PUBLISH; at QoS 1 if it has a packet id."""
    first = PUBLISH << 4 | (8 if again else 0) | (2 if packet_id else 0) | retain
    identifier = packet_id.to_bytes(2, "big") if packet_id else b""
    return packet(first, len(topic).to_bytes(2, "big") + topic + identifier + payload)


def packet(first: int, body: bytes) -> bytes:
    length = len(body)
    if length < 128:
        return bytes((first, length)) + body
    head = bytearray((first,))
    while length:
        length, digit = divmod(length, 128)
        head.append(digit | (0x80 if length else 0))
    return bytes(head) + body
