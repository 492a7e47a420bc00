"""Tests sets of slots, and both forms in which an order names them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwave_controller.rollout import slot_sets
from modelwave_controller.rollout.slot_sets import EVERY_SLOT
from modelwave_shared import slots
from modelwave_shared.limits import MAX_SLOT_RANGES, SLOTS
from modelwave_shared.orders import BITMAP_FORMAT, slot_set

NUMBERS = st.sets(st.integers(0, SLOTS - 1), min_size=1)


def test_ranges_are_sorted_joined_and_hold_exactly_their_slots() -> None:
    assert slot_sets.ranges_of([]) == []
    assert slot_sets.ranges_of([5]) == [[5, 5]]
    assert slot_sets.ranges_of([3, 1, 2, 2, 7, 999, 0]) == [[0, 3], [7, 7], [999, 999]]
    assert slot_sets.ranges_of(range(SLOTS)) == EVERY_SLOT


@given(NUMBERS)
def test_ranges_contain_their_slots_and_no_others(numbers: set[int]) -> None:
    ranges = slot_sets.ranges_of(numbers)
    assert slot_sets.numbers_in(ranges) == sorted(numbers)
    assert {n for n in range(SLOTS) if slot_sets.contains(ranges, n)} == numbers
    assert not slot_sets.contains(ranges, -1)
    assert not slot_sets.contains(ranges, SLOTS)


@given(NUMBERS)
def test_what_an_order_names_is_read_by_agents_and_by_the_controller(numbers: set[int]) -> None:
    ranges = slot_sets.ranges_of(numbers)
    field = slot_sets.named(ranges)
    slot_set(field, "order.slots")
    assert isinstance(field, str) == (len(ranges) > MAX_SLOT_RANGES)
    assert {n for n in range(SLOTS) if slots.contains(field, n)} == numbers
    assert slot_sets.named_in({"slots": field}) == ranges


@pytest.mark.parametrize(("ranges", "v"), [(1, 1), (16, 1), (17, BITMAP_FORMAT), (500, 2)])
def test_an_order_has_format_1_as_long_as_that_can_say_it(ranges: int, v: int) -> None:
    found = slot_sets.ranges_of(range(0, 2 * ranges, 2))
    assert slot_sets.format_of(found) == v
    assert slot_sets.format_of(EVERY_SLOT) == 1


def test_ranges_that_another_program_wrote_in_another_order_are_sorted() -> None:
    assert slot_sets.named_in({"slots": [[7, 9], [3, 4], [8, 12]]}) == [[3, 4], [7, 12]]
