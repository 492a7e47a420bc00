"""The wires of `make relay` pass what is written to them, and no faster than their baud rate."""

import os
from collections.abc import Iterator

import pytest
from benchmarks.relay.wires import BUFFER_BYTES, PIECE_BYTES, Way

DATA = bytes(range(256)) * 2


@pytest.fixture
def ends() -> Iterator[tuple[int, int, int, int]]:
    """What is written to the last one can be read from the first; the wire is between."""
    far, target = os.pipe()
    source, near = os.pipe()
    for number in (far, target):
        os.set_blocking(number, False)
    yield far, target, source, near
    for number in (far, target, source, near):
        os.close(number)


def arrived(far: int) -> bytes:
    try:
        return os.read(far, 2 * BUFFER_BYTES)
    except BlockingIOError:
        return b""


def test_bytes_take_their_time_on_the_wire(ends: tuple[int, int, int, int]) -> None:
    far, target, source, near = ends
    way = Way(source, target, 1000)  # 100 bytes a second
    os.write(near, DATA)
    way.take(0.0)
    found = b""
    for hundredths in range(0, 513, 4):
        way.give(hundredths / 100)
        found += arrived(far)
        assert hundredths - PIECE_BYTES < len(found) <= hundredths
    assert found == DATA

    os.write(near, b"x")  # the wire was free meanwhile
    way.take(10.0)
    way.give(10.0)
    assert arrived(far) == b""
    way.give(10.01)
    assert arrived(far) == b"x"


def test_full_end_waits_for_its_reader(ends: tuple[int, int, int, int]) -> None:
    far, target, source, near = ends
    os.set_blocking(near, False)
    way = Way(source, target, 0)
    sent = found = 0
    while not way.held:
        sent += os.write(near, bytes(BUFFER_BYTES))
        way.take(1.0)
        way.give(1.0)
    while came := arrived(far):
        found += len(came)
        way.give(2.0)
    assert found == sent
