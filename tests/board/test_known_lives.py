"""Tests how the sweep of power cuts finds a life again, with lives that were made up."""

from types import SimpleNamespace

import pytest

from tests.board.sweep.flash import UNIT_BYTES
from tests.board.sweep.known import Known, Undecided


def medium(letters):
    """Has a unit of each letter."""
    return b"".join(letter.encode() * UNIT_BYTES for letter in letters)


def life(*reads):
    return SimpleNamespace(reads=reads)


def test_life_is_found_on_a_medium_that_differs_where_it_does_not_read():
    known, one, other = Known(), life((0,), (2, 3)), life((0,), (1,))
    known.add(medium("abcd"), one)
    known.add(medium("xbcd"), other)
    assert known.find(medium("a?cd")) is one
    assert known.find(medium("xb??")) is other
    assert known.find(medium("abc?")) is None
    assert known.find(medium("?bcd")) is None


def test_lives_that_read_the_same_and_go_on_in_other_ways_are_refused():
    known = Known()
    known.add(medium("abcd"), life((0,), (2,)))
    for another in (life((0,), (3,)), life((0,)), life((0,), (2,))):
        with pytest.raises(Undecided):
            known.add(medium("abcd"), another)
