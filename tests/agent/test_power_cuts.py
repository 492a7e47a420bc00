"""Cuts the power at every port call of an update: before it, in the middle, and after it. An
ordinary run does one of the three at each call, MODELWAVE_LONG=1 does all."""

import asyncio
import os

import pytest

from modelwave_agent import machine
from modelwave_agent.driver import Driver
from modelwave_agent.ledger import Ledger
from tests import signing
from tests.agent import cut_sweep
from tests.agent.fakes import CHUNK_BYTES, TOPIC, World, live, settled

pytestmark = pytest.mark.slow

OLD = signing.Release(1, b"old model " * 250)
GOOD = signing.Release(2, b"new model " * 300)
BAD = signing.Release(3, b"BAD model " * 300)
CRASHES = signing.Release(4, b"CRASH model " * 300)  # not in its golden set
MAX_CALLS = 200
LONG = os.environ.get("MODELWAVE_LONG") == "1"
CUTS = ("before", "torn", "after")
STEP = 1 if LONG else len(CUTS)


class Case:
    """One case: a world after `before`, an order in it, and the expected result."""

    def __init__(self, before, release, outcome, ends_with, **order):
        self.before, self.release, self.outcome, self.ends_with = (
            before,
            release,
            outcome,
            ends_with,
        )
        self.order = order


CASES = {
    "healthy": Case([OLD], GOOD, "SUCCEEDED", GOOD),
    "unhealthy": Case([OLD], BAD, "ROLLED_BACK", OLD),
    "revert": Case([OLD, GOOD], OLD, "SUCCEEDED", OLD),
    "first": Case([], GOOD, "SUCCEEDED", GOOD),
    "shadow": Case([OLD], GOOD, "SHADOWED", OLD, **signing.SHADOW),
    "shadow that crashes": Case([OLD], CRASHES, "ROLLED_BACK", OLD, **signing.SHADOW),
}


def until_settled(world, seq, cut_at=None):
    """One life: until order `seq` has its outcome, or the power goes (then False)."""
    world.reports.clear()
    return asyncio.run(live(world, settled(world, seq), cut_at))


def prepared(folder, case, keeps_removals=True):
    folder.mkdir()
    world = World(folder, keeps_removals)
    for release in (OLD, GOOD, BAD, CRASHES):
        world.files.update(release.files)
    for seq, release in enumerate(case.before, 1):
        world.retained[TOPIC] = signing.order(release, seq)
        assert until_settled(world, seq)
    world.retained[TOPIC] = signing.order(case.release, len(case.before) + 1, **case.order)
    world.faults.clear()
    return world


def play(world, case, cuts):
    """Lives through `cuts` (one a life), then to the end: whether each was met."""
    seq = len(case.before) + 1
    met = [not until_settled(world, seq, cut) for cut in cuts]
    if not until_settled(world, seq):
        world.fault("the device never came to an end")
    # A last boot, without a broker's orders: what does it run, what does it say?
    world.retained.clear()
    world.reports.clear()
    asyncio.run(live(world, lambda update: world.reports and update.live()))
    state = world.last_report()
    found = (state["outcome"], state["release"])
    expected = (case.outcome, case.ends_with.document["release"])
    if found != expected:
        world.fault(f"ended as {found}, expected {expected}")
    if (case.release.digest in world.durable()["blacklist"]) != (case.release in (BAD, CRASHES)):
        world.fault("a power cut is no failed health check, and only that blacklists")
    return all(met)


def sweep(folder, case, keeps_removals=True):
    """(number of cuts, {cut: faults}) over every port call of one update."""

    def cut(call, when):
        world = prepared(folder / f"{when}-{call}", case, keeps_removals)
        return world, play(world, case, [(call, when)])

    calls = {
        when: range(1 if LONG else first, MAX_CALLS, STEP) for first, when in enumerate(CUTS, 1)
    }
    return cut_sweep.sweep(calls, cut)


@pytest.mark.parametrize("keeps_removals", [True, False], ids=["removals kept", "lost"])
@pytest.mark.parametrize("name", CASES)
def test_power_cut_at_every_port_call_leaves_a_whole_model_and_a_true_report(
    tmp_path, name, keeps_removals
):
    cases, bad = sweep(tmp_path, CASES[name], keeps_removals)
    print(f"{name}: {cases} power cuts, {len(bad)} with faults")
    assert bad == {}
    assert cases > 40 // STEP


@pytest.mark.parametrize("name", ["healthy", "unhealthy", "shadow"])
def test_power_cut_twice_in_a_row(tmp_path, name):
    """Every pair of calls in the long form, a spread of them every day."""
    step = 1 if LONG else 9
    cases = 0
    for first in range(1, 40, step):
        for second in range(1, 40, step):
            world = prepared(tmp_path / f"{first}-{second}", CASES[name])
            play(world, CASES[name], [(first, "after"), (second, "before")])
            assert world.faults == [], (first, second)
            cases += 1
    print(f"{name}: {cases} pairs of power cuts")


def test_revert_to_the_release_in_the_other_bank_downloads_nothing(tmp_path):
    world = prepared(tmp_path / "w", CASES["revert"])
    before = world.fetched
    assert until_settled(world, 3)
    assert world.fetched == before
    assert world.last_report()["release"] == 1


def test_power_cut_costs_half_of_a_download_at_most(tmp_path):
    world = World(tmp_path)
    large = signing.Release(4, b"large model " * 8000)
    world.files.update(large.files)
    world.retained[TOPIC] = signing.order(large, 1)
    size = large.document["files"][0]["size"]
    assert asyncio.run(live(world, lambda _: world.fetched > 0.9 * size))
    kept = os.path.getsize(f"{world.folder}/b.model")
    assert kept >= (world.fetched - CHUNK_BYTES) / 2
    world.fetched = 0
    assert until_settled(world, 1)
    assert world.fetched == size - kept + large.document["files"][1]["size"]
    assert world.last_report()["outcome"] == "SUCCEEDED"


def test_resets_on_trial_end_after_three_tries_and_do_not_blacklist(tmp_path):
    world = prepared(tmp_path / "w", CASES["healthy"])
    for _ in range(machine.MAX_TRIES):
        world.reports.clear()
        asyncio.run(
            live(world, lambda _: world.reports and world.last_report()["state"] == "trial")
        )
    assert until_settled(world, 2)
    state = world.last_report()
    assert (state["outcome"], state["release"]) == ("ROLLED_BACK", 1)
    assert "reset 3 times" in state["reason"]
    assert world.durable()["blacklist"] == []


class ActsFirst(Driver):
    """A faulty driver, which does the effects before it writes the record."""

    async def drive(self, event, detail):
        ledger = self.ledger
        while event:
            ledger.record, effects = machine.step(ledger.record, event, detail)
            event, detail = "", {}
            for effect in effects:
                event, detail = await self.EFFECTS[effect](self) or ("", {})
                if event:
                    break
            ledger.journal.write(ledger.record)


class ConfirmsLast(Ledger):
    """A faulty ledger, which lets SUCCEEDED be reported before it is durable."""

    async def step(self, event, detail):
        if event != "healthy":
            return await super().step(event, detail)
        self.record, effects = machine.step(self.record, event, detail)
        asyncio.get_running_loop().call_later(0.001, self.journal.write, self.record)
        return effects


@pytest.mark.parametrize(
    ("part", "broken"), [("driver.Driver", ActsFirst), ("update.Ledger", ConfirmsLast)]
)
def test_the_sweep_goes_red_when_the_journal_is_not_written_first(
    tmp_path, monkeypatch, part, broken
):
    monkeypatch.setattr(f"modelwave_agent.{part}", broken)
    cases, bad = sweep(tmp_path, CASES["healthy"])
    print(f"{broken.__name__}: {cases} power cuts, {len(bad)} with faults")
    assert len(bad) > 3
