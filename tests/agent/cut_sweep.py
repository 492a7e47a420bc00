"""Goes through the port calls of an update, with a power cut at each."""

import pytest


def sweep(calls, cut):
    """`calls` is {when: numbers of port calls}; `cut(call, when)` lives through a cut there and
    returns the world, and whether the life came so far. Returns the number of cuts, and
    {(when, call): faults}."""
    cases, bad = 0, {}
    for when, numbers in calls.items():
        for call in numbers:
            world, met = cut(call, when)
            if world.faults:
                bad[when, call] = world.faults
            if not met:
                break
            cases += 1
        else:
            pytest.fail("it never ended")
    return cases, bad
