"""Finds the messages at the front of what a broker has sent: PUBLISH packets of MQTT 3.1.1."""

from collections.abc import Iterator
from typing import NamedTuple

PUBLISH, PUBACK = 0x30, 0x40
_KIND, _QOS_2, _QOS_1, _RETAIN = 0xF0, 0x04, 0x02, 0x01
_SHIFTS = (0, 7, 14, 21)  # of the bytes of a packet's length


class Arrived(NamedTuple):
    """A message. `number`: of its packet, for the acknowledgement; 0 at QoS 0. `end`: where the
    packet ends."""

    topic: bytes
    payload: bytes
    retain: bool
    number: int
    end: int


def messages(data: bytes, at: int) -> Iterator[Arrived]:
    """Yields the messages from `at` on, up to the first packet that is no message of QoS 0 or 1, is
    not complete, or is malformed."""
    while at < len(data):
        found = _message(data, at)
        if found is None:
            return
        yield found
        at = found.end


def _message(data: bytes, at: int) -> Arrived | None:
    first = data[at]
    if first & (_KIND | _QOS_2) != PUBLISH:
        return None
    start, end = _body(data, at + 1)
    if end > len(data) or end < start + 2:
        return None
    topic = start + 2
    after = topic + (data[start] << 8 | data[start + 1])
    payload = after + 2 if first & _QOS_1 else after
    if after == topic or payload > end:
        return None
    number = data[after] << 8 | data[after + 1] if first & _QOS_1 else 0
    retain = bool(first & _RETAIN)
    return Arrived(data[topic:after], data[payload:end], retain, number, end)


def _body(data: bytes, at: int) -> tuple[int, int]:
    """Returns where the body of the packet starts and ends whose length is at `at`; of one whose
    length is cut or too long, an end behind the data."""
    size = 0
    for shift in _SHIFTS:
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        size |= (byte & 127) << shift
        if byte < 128:
            return at, at + size
    return at, len(data) + 1
