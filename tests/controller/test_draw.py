"""Tests that a rollout's canaries are a random sample of its devices, and that a seed repeats it.

The seeds are fixed, so a test that passes once passes always. Bounds of chi-squared are those that
chance passes once in 100,000 times.
"""

from collections import Counter
from functools import cache
from itertools import pairwise

import pytest

from modelwave_controller.rollout import cohorts
from modelwave_controller.rollout.draw import MAX_SEED, circle, drawn
from modelwave_shared.limits import SLOTS
from modelwave_shared.slots import slot

SEEDS = range(300)
TENTH = SLOTS // 10
EVERY = dict.fromkeys(range(SLOTS), 1)  # a device in each slot
CHI_SQUARED_999, CHI_SQUARED_11 = 1201.2, 43.2  # of so many degrees of freedom, by SciPy


draw_of = cache(drawn)


def chi_squared(found: Counter[int], of: int, share: float, draws: int) -> float:
    """How far `of` counts are from equal, where each draw takes a `share` of them at once."""
    expected = draws * share
    summed = sum((found[which] - expected) ** 2 for which in range(of))
    return summed / (expected * (1 - share)) * (of - 1) / of


def canaries(counts: dict[int, int], seed: int, percent: float, least: int = 1) -> tuple[int, ...]:
    draw = draw_of(seed)
    return draw[: cohorts.widen(counts, draw, 0, percent, least)]


@pytest.mark.parametrize(
    ("seed", "first", "last"),
    [
        (0, (328, 321, 899, 358, 982, 590, 7, 265), (555, 15, 616)),
        (42, (140, 456, 630, 120, 395, 188, 460, 694), (612, 535, 150)),
        (MAX_SEED, (132, 450, 136, 923, 188, 268, 531, 226), (727, 881, 701)),
    ],
)
def test_a_seed_gives_the_same_slots_for_ever(
    seed: int, first: tuple[int, ...], last: tuple[int, ...]
) -> None:
    # For 42 found by sha256sum too: printf of the ten bytes, sorted by the sum.
    assert (drawn(seed)[:8], drawn(seed)[-3:]) == (first, last)


def test_a_draw_has_each_slot_once() -> None:
    for seed in (*range(20), MAX_SEED):
        assert sorted(drawn(seed)) == list(range(SLOTS))
    assert circle(998)[:4] == (998, 999, 0, 1)


def test_each_slot_is_among_the_canaries_equally_often() -> None:
    found = Counter(slot for seed in SEEDS for slot in canaries(EVERY, seed, 10))
    assert found.total() == len(SEEDS) * TENTH
    assert chi_squared(found, SLOTS, 0.1, len(SEEDS)) < CHI_SQUARED_999
    in_circles = Counter(slot for seed in SEEDS for slot in circle(seed)[:TENTH])
    assert chi_squared(in_circles, SLOTS, 0.1, len(SEEDS)) > CHI_SQUARED_999  # so it can tell


def test_each_device_of_a_dozen_is_a_canary_equally_often() -> None:
    places = [slot("meadow", f"d{number}") for number in range(12)]
    counts = Counter(places)
    found: Counter[int] = Counter()
    for seed in SEEDS:
        opened = set(canaries(counts, seed, 1, least=3))
        found.update(number for number, place in enumerate(places) if place in opened)
    assert found.total() == 3 * len(SEEDS)  # no two of them share a slot
    assert chi_squared(found, 12, 0.25, len(SEEDS)) < CHI_SQUARED_11


def test_neighbours_are_not_canaries_together_more_often_than_others() -> None:
    pairs = [
        sum(one + 1 in opened for one in opened)
        for opened in (set(canaries(EVERY, seed, 10)) for seed in SEEDS)
    ]
    # Of 999 pairs of neighbours 9.9 have both; a circle has 99. The mean's deviation is 0.18.
    assert sum(pairs) / len(pairs) == pytest.approx(9.9, abs=0.8)


def test_the_next_seed_draws_others() -> None:
    opened = [set(canaries(EVERY, seed, 10)) for seed in SEEDS]
    common = [len(one & other) for one, other in pairwise(opened)]
    assert sum(common) / len(common) == pytest.approx(10, abs=0.8)
