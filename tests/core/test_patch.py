"""The steps of a delta, one by one; runs on both Pythons."""

import asyncio
import io

from modelwave_agent.intake import TooLong
from modelwave_agent.patch import CHUNK_BYTES, BadDelta, Patch
from tests.core.helpers import refused
from tests.core.intakes import Taken

OLD = bytes(range(256)) * 5
PLUS, MINUS, OTHER, COPY, FRESH, ADD, MOVE = 0, 0x40, 0x80, 0xC0, 0xC1, 0xC2, 0xC3


def number(value):
    found = b""
    while value > 127:
        found += bytes([value & 127 | 128])
        value >>= 7
    return found + bytes([value])


def made(steps, size):
    """What the steps make of OLD."""

    async def breathe():
        pass

    intake = Taken(size)
    asyncio.run(Patch(io.BytesIO(steps), io.BytesIO(OLD), intake, breathe).run())
    return intake.data


def test_one_weight_that_differs_by_one_is_one_byte():
    assert made(bytes([PLUS + 3]), 4) == bytes([0, 1, 2, 4])
    assert made(bytes([MINUS + 3]), 4) == bytes([0, 1, 2, 2])
    assert made(bytes([MINUS]), 1) == bytes([255])


def test_another_difference_is_the_byte_that_follows():
    assert made(bytes([OTHER + 2, 254]), 3) == bytes([0, 1, 0])


def test_long_pieces_are_copied_taken_and_added_to():
    assert made(bytes([COPY]) + number(1000), 1000) == OLD[:1000]
    fresh = bytes([7]) * 700
    assert made(bytes([FRESH]) + number(700) + fresh, 700) == fresh
    sums = bytes((one + 7) & 255 for one in OLD[:700])
    assert made(bytes([ADD]) + number(700) + fresh, 700) == sums


def test_the_place_moves_both_ways():
    steps = bytes([COPY, 2, MOVE]) + number(2 * 10) + bytes([COPY, 2, MOVE]) + number(2 * 13 - 1)
    assert made(steps + bytes([PLUS + 1]), 6) == bytes([0, 1, 12, 13, 1, 3])


def test_a_step_ends_at_the_end_of_a_chunk_or_behind_it():
    for copied in (CHUNK_BYTES - 2, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1):
        expected = OLD[:copied] + bytes([(OLD[copied] + 1) & 255])
        assert made(bytes([COPY]) + number(copied) + bytes([PLUS]), copied + 1) == expected


def test_no_more_is_written_than_the_signed_size():
    for steps in (
        bytes([COPY]) + number(1000),
        bytes([FRESH]) + number(1000) + bytes(1000),
        bytes([PLUS + 63]),
    ):
        assert "signed" in refused(TooLong, made, steps, 50)


def test_what_is_outside_of_the_old_file_is_refused():
    behind = bytes([COPY]) + number(len(OLD) + 1)
    assert "ends early" in refused(BadDelta, made, behind, 10**6)
    before = bytes([MOVE, 1, COPY, 1])
    assert "out of" in refused(BadDelta, made, before, 10)
    far = bytes([MOVE]) + number(2**34) + bytes([COPY, 1])
    assert "out of" in refused(BadDelta, made, far, 10)
    assert "ends early" in refused(BadDelta, made, bytes([MOVE]) + number(4000) + b"\0", 10)


def test_steps_that_are_cut_short_or_none_are_refused():
    for steps in (b"", bytes([FRESH, 9, 1]), bytes([OTHER]), bytes([COPY]), bytes([COPY, 128])):
        assert "ends early" in refused(BadDelta, made, steps, 10)
    assert "none" in refused(BadDelta, made, bytes([0xC4, 1]), 10)
    assert "too long" in refused(BadDelta, made, bytes([COPY]) + b"\xff" * 6, 10)


def test_steps_that_make_nothing_come_to_an_end():
    """A small delta may inflate to a thousand times its size."""
    assert "nothing" in refused(BadDelta, made, bytes([COPY, 0]) * 100, 10)
    assert "nothing" in refused(BadDelta, made, bytes([MOVE, 2, MOVE, 1]) * 100, 10)
