"""Cuts the power of the gateway at every call of an update of a carried board, and lets the board
fail in each of its ways at every call of its Carrier. An ordinary run takes a part of the cases,
MODELWAVE_LONG=1 all of them, and pairs."""

import asyncio
import os

import pytest

from tests import signing
from tests.agent import cut_sweep
from tests.agent.carried_world import FACTORY, TROUBLES, CarriedWorld, carried, until_settled
from tests.agent.command_world import BlindWorld, CommandWorld
from tests.agent.fakes import TOPIC, live

OLD = signing.Release(1, b"old model " * 30)
GOOD = signing.Release(2, b"new model " * 40)
BAD = signing.Release(3, b"BAD model " * 40)
ILL = signing.Release(4, b"ill model " * 40)  # the board says that it is not well
pytestmark = pytest.mark.slow

LONG = os.environ.get("MODELWAVE_LONG") == "1"
CUTS = ("before", "torn", "after")
STEP = 1 if LONG else 60
MAX_CALLS = 300


class Case:
    def __init__(self, before, release, outcome, ends_with):
        self.before, self.release, self.outcome = before, release, outcome
        self.ends_with = ends_with


CASES = {
    "healthy": Case([OLD], GOOD, "SUCCEEDED", GOOD),
    "golden set": Case([OLD], BAD, "ROLLED_BACK", OLD),
    "unwell": Case([OLD], ILL, "ROLLED_BACK", OLD),
    "revert": Case([OLD, GOOD], OLD, "SUCCEEDED", OLD),
    "first": Case([], GOOD, "SUCCEEDED", GOOD),
    "first fails": Case([], BAD, "ROLLED_BACK", None),
}


def file_of(release):
    return release.document["files"][0]["sha256"] if release else FACTORY


def prepared(folder, case, world=CarriedWorld):
    made = carried(folder, *case.before, world=world)
    made.unwell = {file_of(ILL): "too hot"}
    made.files.update(case.release.files)
    made.retained[TOPIC] = signing.order(case.release, len(case.before) + 1)
    return made


def play(world, case, cuts, trouble=None):
    """Lives through `cuts` of the gateway (one a life), or one `trouble` of the board, then to the
    end: whether each was met."""
    seq = len(case.before) + 1
    met = [not until_settled(world, seq, cut) for cut in cuts]
    world.trouble = None
    if trouble:
        world.trouble = trouble
        met = [until_settled(world, seq) and world.carrier_calls >= trouble[0]]
        world.trouble = None
    if not until_settled(world, seq):
        world.fault("the gateway never came to an end")
    world.retained.clear()
    world.reports.clear()
    asyncio.run(live(world, lambda update: world.reports and update.work.booted.is_set()))
    state = world.last_report()
    found = (state["outcome"], state["release"])
    expected = (case.outcome, case.ends_with.document["release"] if case.ends_with else 0)
    if found != expected:
        world.fault(f"ended as {found}, expected {expected}: {state['reason']}")
    world.board.reset()
    board = (world.board.runs, world.board.is_confirmed)
    if board != (file_of(case.ends_with), True):
        world.fault(f"the board ended with {board}")
    if (case.release.digest in world.durable()["blacklist"]) != (case.release in (BAD, ILL)):
        world.fault("only a failed health check blacklists a release")
    return all(met)


def sweep_gateway(folder, case, world=CarriedWorld, shares_power=False):
    def cut(call, when):
        made = prepared(folder / f"{when}-{call}", case, world)
        made.shares_power = shares_power
        return made, play(made, case, [(call, when)])

    calls = {
        when: range(1 if LONG else 1 + 20 * number, MAX_CALLS, STEP)
        for number, when in enumerate(CUTS)
    }
    return cut_sweep.sweep(calls, cut)


def sweep_board(folder, case, world=CarriedWorld):
    def fail(call, what):
        made = prepared(folder / f"{what}-{call}", case, world)
        return made, play(made, case, [], (call, what))

    step = 1 if LONG else 24
    calls = {
        what: range(1 if LONG else 1 + 3 * number, MAX_CALLS, step)
        for number, what in enumerate(TROUBLES)
    }
    return cut_sweep.sweep(calls, fail)


def sweep_pairs(folder, case, world=CarriedWorld):
    """The board fails at one of its calls, and in the same life the gateway's power is cut."""
    cases, bad = 0, {}
    for what in TROUBLES:
        for first in range(1, 9, 1 if LONG else 8):
            for second in range(10, 60, 3 if LONG else 50):
                made = prepared(folder / f"{what}-{first}-{second}", case, world)
                made.trouble = (first, what)
                play(made, case, [(second, "after")])
                cases += 1
                if made.faults:
                    bad[what, first, second] = made.faults
    return cases, bad


def told(name, cases, bad):
    print(f"{name}: {cases} cases, {len(bad)} with faults")
    for key in list(bad)[:5]:
        print(key, bad[key])
    assert bad == {}
    assert cases


# A part of the parameters is enough for every day.
SOME = list(CASES) if LONG else ["healthy", "first fails"]
POWER = [False, True] if LONG else [True]
WORLDS = [CarriedWorld, CommandWorld, BlindWorld]
FLASHED = WORLDS[1:]


@pytest.mark.parametrize("shares_power", POWER)
@pytest.mark.parametrize("name", CASES)
def test_power_cut_of_the_gateway_at_every_call_leaves_a_confirmed_file(
    tmp_path, name, shares_power
):
    told(name, *sweep_gateway(tmp_path, CASES[name], shares_power=shares_power))


@pytest.mark.parametrize("name", CASES)
def test_board_that_fails_at_any_call_ends_with_a_confirmed_file(tmp_path, name):
    told(name, *sweep_board(tmp_path, CASES[name]))


@pytest.mark.parametrize("world", FLASHED)
@pytest.mark.parametrize("name", SOME)
def test_power_cut_while_a_command_flashes_ends_with_a_confirmed_file(tmp_path, name, world):
    told(name, *sweep_gateway(tmp_path, CASES[name], world))


@pytest.mark.parametrize("world", FLASHED)
@pytest.mark.parametrize("name", SOME)
def test_command_that_fails_at_any_call_ends_with_a_confirmed_file(tmp_path, name, world):
    told(name, *sweep_board(tmp_path, CASES[name], world))


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", SOME[:2])
def test_board_and_gateway_that_fail_in_one_life_end_with_a_confirmed_file(tmp_path, name, world):
    told(name, *sweep_pairs(tmp_path, CASES[name], world))
