"""Tests that slots open in the drawn order until they hold the stage's share of the devices."""

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from modelwave_controller.rollout import cohorts
from modelwave_controller.rollout.draw import MAX_SEED, circle, drawn
from modelwave_controller.rollout.plan import share
from modelwave_controller.rollout.slot_sets import ranges_of
from modelwave_shared.limits import SLOTS

COUNTS = st.dictionaries(st.integers(0, SLOTS - 1), st.integers(1, 5), max_size=60)
DRAWS = st.integers(0, MAX_SEED).map(drawn) | st.integers(0, SLOTS - 1).map(circle)
PERCENTS = st.lists(st.floats(0.01, 99.9), min_size=1, max_size=4, unique=True).map(
    lambda found: [*sorted(found), 100.0]
)


def test_the_first_stage_opens_as_few_slots_as_hold_one_device() -> None:
    assert cohorts.widen({5: 1, 900: 1}, circle(0), width=0, percent=1) == 6
    assert cohorts.widen({5: 1, 900: 1}, circle(6), width=0, percent=1) == 895
    first = drawn(42)[2]
    assert cohorts.widen({first: 1, drawn(42)[9]: 1}, drawn(42), width=0, percent=1) == 3


def test_a_tenth_of_a_percent_of_1000_devices_is_one_device() -> None:
    assert cohorts.widen(dict.fromkeys(range(SLOTS), 1), drawn(1), width=0, percent=0.1) == 1


def test_a_stage_opens_at_least_so_many_devices_where_there_are_so_many() -> None:
    every = dict.fromkeys(range(SLOTS), 1)
    assert cohorts.widen(every, drawn(1), width=0, percent=0.1, least=3) == 3
    assert cohorts.widen(every, drawn(1), width=0, percent=10, least=3) == 100
    assert cohorts.widen({5: 1, 900: 1}, circle(0), width=0, percent=1, least=3) == 901


def test_a_stage_opens_nothing_while_no_device_of_the_target_is_known() -> None:
    assert cohorts.widen({}, drawn(3), width=0, percent=50) == 0


def test_the_last_stage_opens_every_slot_also_without_devices() -> None:
    assert cohorts.widen({}, drawn(3), width=0, percent=100) == SLOTS


@given(COUNTS, DRAWS, PERCENTS)
def test_stages_hold_their_share_no_slot_more_and_only_add_slots(
    counts: dict[int, int], draw: tuple[int, ...], percents: list[float]
) -> None:
    width, known = 0, sum(counts.values())
    for percent in percents:
        new = cohorts.widen(counts, draw, width, percent)
        assert new >= width
        held = sum(counts.get(slot, 0) for slot in draw[:new])
        wanted = max(1, ceil(share(percent) * known)) if known else 0
        assert held >= wanted
        if new > width and percent != 100:
            assert held - counts.get(draw[new - 1], 0) < wanted
        width = new
    assert width == SLOTS


@given(COUNTS, DRAWS, st.integers(0, SLOTS))
def test_counting_by_ranges_is_counting_by_slots(
    counts: dict[int, int], draw: tuple[int, ...], width: int
) -> None:
    slots = draw[:width]
    expected = sum(counts.get(slot, 0) for slot in slots)
    assert cohorts.count_devices(counts, ranges_of(slots)) == expected
