"""Tests that slots open in a circle until they hold the stage's share of the known devices."""

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from modelwave_controller.rollout import cohorts
from modelwave_controller.rollout.plan import share
from modelwave_shared.limits import MAX_SLOT_RANGES, SLOTS
from modelwave_shared.slots import ranges_of

COUNTS = st.dictionaries(st.integers(0, SLOTS - 1), st.integers(1, 5), max_size=60)
SLOT = st.integers(0, SLOTS - 1)
PERCENTS = st.lists(st.floats(0.01, 99.9), min_size=1, max_size=4, unique=True).map(
    lambda found: [*sorted(found), 100.0]
)


def test_the_first_stage_opens_as_few_slots_as_hold_one_device() -> None:
    assert cohorts.widen({5: 1, 900: 1}, start=0, width=0, percent=1) == 6
    assert cohorts.widen({5: 1, 900: 1}, start=6, width=0, percent=1) == 895


def test_a_tenth_of_a_percent_of_1000_devices_is_one_device() -> None:
    assert cohorts.widen(dict.fromkeys(range(SLOTS), 1), start=0, width=0, percent=0.1) == 1


def test_a_stage_opens_at_least_so_many_devices_where_there_are_so_many() -> None:
    every = dict.fromkeys(range(SLOTS), 1)
    assert cohorts.widen(every, start=0, width=0, percent=0.1, least=3) == 3
    assert cohorts.widen(every, start=0, width=0, percent=10, least=3) == 100
    assert cohorts.widen({5: 1, 900: 1}, start=0, width=0, percent=1, least=3) == 901


def test_the_circle_goes_on_at_slot_0() -> None:
    width = cohorts.widen({998: 1, 2: 1}, start=997, width=0, percent=99)
    assert cohorts.opened(997, 0, width) == [997, 998, 999, 0, 1, 2]


def test_a_stage_opens_nothing_while_no_device_of_the_target_is_known() -> None:
    assert cohorts.widen({}, start=3, width=0, percent=50) == 0


def test_the_last_stage_opens_every_slot_also_without_devices() -> None:
    assert cohorts.widen({}, start=3, width=0, percent=100) == SLOTS
    assert sorted(cohorts.opened(3, 0, SLOTS)) == list(range(SLOTS))


@given(COUNTS, SLOT, PERCENTS)
def test_stages_hold_their_share_and_no_slot_more(
    counts: dict[int, int], start: int, percents: list[float]
) -> None:
    width, known, seen = 0, sum(counts.values()), []
    for percent in percents:
        new = cohorts.widen(counts, start, width, percent)
        opened = cohorts.opened(start, width, new)
        assert new >= width
        assert len(ranges_of(opened)) <= 2 <= MAX_SLOT_RANGES
        seen += opened
        held = sum(counts.get(slot, 0) for slot in seen)
        wanted = max(1, ceil(share(percent) * known)) if known else 0
        assert held >= wanted
        if opened and percent != 100:
            assert held - counts.get(opened[-1], 0) < wanted
        width = new
    assert sorted(seen) == list(range(SLOTS))


@given(COUNTS, SLOT, st.integers(0, SLOTS))
def test_counting_by_ranges_is_counting_by_slots(
    counts: dict[int, int], start: int, width: int
) -> None:
    slots = cohorts.opened(start, 0, width)
    expected = sum(counts.get(slot, 0) for slot in slots)
    assert cohorts.count_devices(counts, ranges_of(slots)) == expected
