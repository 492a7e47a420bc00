"""Tests that messages are found in what a broker sends, and nothing else is taken for one."""

import pytest

from modelwave_controller.broker import packets
from modelwave_controller.service.arrived import Arrived, messages

SENT = [
    (b"a", b"", 0, False),
    (b"b/c", b"x" * 120, 7, True),
    (b"d" * 40, b"y" * 300, 65535, False),
    ("é".encode(), b"z" * 17_000, 1, False),
]
DATA = b"".join(
    packets.publish(topic, body, number, retain=retain) for topic, body, number, retain in SENT
)


def found_in(data: bytes, at: int = 0) -> list[Arrived]:
    return list(messages(data, at))


def test_messages_are_found_as_they_were_sent_and_where_they_end() -> None:
    found = found_in(DATA)
    assert [(f.topic, f.payload, f.number, f.retain) for f in found] == SENT
    assert found[-1].end == len(DATA)
    assert found_in(DATA, found[1].end) == found[2:]


def test_one_that_is_cut_anywhere_is_not_complete() -> None:
    short = DATA[: found_in(DATA)[2].end]
    for size in range(len(short)):
        whole = [one for one in found_in(short) if one.end <= size]
        assert found_in(short[:size]) == whole


@pytest.mark.parametrize(
    "packet",
    [
        b"\x90\3\0\1\1",  # a SUBACK
        b"\x40\2\0\1",  # a PUBACK
        b"\x34\6\0\1a\0\1x",  # QoS 2
        b"\x36\6\0\1a\0\1x",  # no QoS
        b"\x30\3\0\0x",  # no topic
        b"\x30\3\0\2a",  # a topic that is longer than the packet
        b"\x32\4\0\1a\0",  # no number
        b"\x30\1\0",
        b"\x30\0",
        b"\x30\xff\xff\xff\xff\1",  # a length of five bytes
    ],
)
def test_what_is_no_message_is_left_with_all_behind_it(packet: bytes) -> None:
    assert found_in(packet + DATA) == []
    assert found_in(DATA + packet + DATA) == found_in(DATA)
