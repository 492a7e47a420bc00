"""Tests that a phase keeps its modules while at least one task is in it; runs on both Pythons."""

import gc
import sys

from modelwave_shared.lean import Phase

MODULE = "modelwave_shared.slots"
FORGETS = hasattr(gc, "mem_free")  # CPython keeps its modules


def load():
    __import__(MODULE)


def test_modules_are_forgotten_when_nobody_is_inside_any_more():
    with Phase(MODULE):
        load()
        assert MODULE in sys.modules
    assert (MODULE in sys.modules) is not FORGETS
    load()


def test_modules_stay_while_a_second_user_is_inside():
    phase = Phase(MODULE)
    with phase:
        load()
        with phase:
            pass
        assert MODULE in sys.modules
        assert phase.users == 1
    assert phase.users == 0
    load()


def test_an_error_inside_ends_the_use():
    phase = Phase(MODULE)
    try:
        with phase:
            load()
            raise ValueError("inside")
    except ValueError:
        pass
    assert phase.users == 0
    load()
