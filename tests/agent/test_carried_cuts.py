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
LONG = os.environ.get("MODELWAVE_LONG") == "1"
CUTS = ("before", "torn", "after")
STEP = 1 if LONG else 45
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
    """Lives through `cuts` of the gateway (one a life) and one `trouble` of the board in the first
    life, then to the end: whether each was met."""
    seq = len(case.before) + 1
    met = [not until_settled(world, seq, cut) for cut in cuts]
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
        when: range(1 if LONG else 1 + 15 * number, MAX_CALLS, STEP)
        for number, when in enumerate(CUTS)
    }
    return cut_sweep.sweep(calls, cut)


def sweep_board(folder, case, world=CarriedWorld):
    def fail(call, what):
        made = prepared(folder / f"{what}-{call}", case, world)
        return made, play(made, case, [], (call, what))

    step = 1 if LONG else 8
    calls = {
        what: range(1 if LONG else 1 + 2 * number, MAX_CALLS, step)
        for number, what in enumerate(TROUBLES)
    }
    return cut_sweep.sweep(calls, fail)


def told(name, cases, bad):
    print(f"{name}: {cases} cases, {len(bad)} with faults")
    for key in list(bad)[:5]:
        print(key, bad[key])
    assert bad == {}
    assert cases


@pytest.mark.parametrize("shares_power", [False, True], ids=["alone", "with the board"])
@pytest.mark.parametrize("name", CASES)
def test_power_cut_of_the_gateway_at_every_call_leaves_a_confirmed_file(
    tmp_path, name, shares_power
):
    told(name, *sweep_gateway(tmp_path, CASES[name], shares_power=shares_power))


@pytest.mark.parametrize("name", CASES)
def test_board_that_fails_at_any_call_ends_with_a_confirmed_file(tmp_path, name):
    told(name, *sweep_board(tmp_path, CASES[name]))


@pytest.mark.parametrize("world", [CommandWorld, BlindWorld], ids=["state", "no state"])
@pytest.mark.parametrize("name", CASES)
def test_power_cut_while_a_command_flashes_ends_with_a_confirmed_file(tmp_path, name, world):
    told(name, *sweep_gateway(tmp_path, CASES[name], world))


@pytest.mark.parametrize("world", [CommandWorld, BlindWorld], ids=["state", "no state"])
@pytest.mark.parametrize("name", CASES)
def test_command_that_fails_at_any_call_ends_with_a_confirmed_file(tmp_path, name, world):
    told(name, *sweep_board(tmp_path, CASES[name], world))
