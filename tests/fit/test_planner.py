"""Tests the rules of the greedy planner, and compares it with plans made by hand."""

from random import Random

import pytest

from modelwave_controller.fit.planner import Buffer, plan


def offsets(*buffers: Buffer) -> list[int]:
    plan(buffers)
    return [buffer.offset for buffer in buffers]


def buffer(size: int, first: int, last: int, fixed_at: int | None = None) -> Buffer:
    return Buffer("", size, first, last, fixed_at or 0, fixed_at is not None)


def random_buffers(rng: Random) -> list[Buffer]:
    buffers = []
    for _ in range(rng.randint(1, 40)):
        first = rng.randint(0, 20)
        buffers.append(buffer(16 * rng.randint(1, 30), first, first + rng.randint(0, 6)))
    return buffers


@pytest.mark.parametrize("seed", range(50))
def test_buffers_alive_together_never_overlap(seed: int) -> None:
    buffers = random_buffers(Random(seed))
    height = plan(buffers)
    for a in buffers:
        assert a.end <= height
        for b in buffers:
            together = a.first <= b.last and b.first <= a.last
            assert a is b or not together or a.end <= b.offset or b.end <= a.offset
    busiest = max(sum(b.size for b in buffers if b.first <= scope <= b.last) for scope in range(30))
    assert height >= busiest


def test_nothing_to_plan_takes_nothing() -> None:
    assert plan([]) == 0


def test_largest_is_placed_first_and_the_others_around_it() -> None:
    assert offsets(buffer(32, 0, 1), buffer(64, 1, 2), buffer(16, 2, 3)) == [64, 0, 64]


def test_among_equals_the_last_is_placed_first() -> None:
    assert offsets(buffer(16, 0, 0), buffer(16, 0, 0), buffer(16, 0, 0)) == [32, 16, 0]


def test_gap_is_used_only_where_it_is_large_enough() -> None:
    below, above = buffer(64, 0, 1), buffer(48, 0, 3)
    # Once `below` is gone, 64 bytes are free under `above`, which lies at 64.
    assert offsets(below, above, buffer(32, 2, 3)) == [0, 64, 0]
    assert offsets(buffer(64, 0, 1), buffer(48, 0, 3), buffer(40, 2, 3), buffer(40, 3, 3)) == [
        0,
        64,
        112,
        0,
    ]


def test_places_planned_offline_stay_even_where_they_overlap() -> None:
    assert offsets(buffer(64, 0, 9, fixed_at=100), buffer(64, 0, 9, fixed_at=120)) == [100, 120]


def test_others_are_placed_around_those_planned_offline() -> None:
    fixed = buffer(64, 0, 9, fixed_at=32)
    assert offsets(buffer(48, 0, 9), fixed, buffer(32, 0, 9)) == [96, 32, 0]
