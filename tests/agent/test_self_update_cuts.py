"""Cuts the power at every port call of an update of the agent itself: the launcher's rules, the
machine and the ports are the real ones, processes and environments are simulated."""

import asyncio
import errno
import os
from pathlib import Path

import pytest

from modelwave_agent import download, root_store
from modelwave_agent.banks import NAMES
from modelwave_agent.host.self_update import choice
from modelwave_agent.host.self_update.choice import OWN, Failures, Start, next_start
from modelwave_agent.host.self_update.itself import AgentHooks, SelfUpdate
from modelwave_agent.host.self_update.own_ports import AgentPorts
from modelwave_agent.journal import Journal
from modelwave_agent.machine import MAX_TRIES
from modelwave_agent.root_walk import RootWalk
from modelwave_agent.runner import Agent
from modelwave_agent.types import Enrolment
from modelwave_agent.update import Update
from modelwave_shared.agent_releases import AGENT_BUNDLE
from tests import signing
from tests.agent import cut_sweep
from tests.agent.agent_starts import MAX_RUNS, DeafLink, Line, agent_release, run_agent
from tests.agent.fakes import (
    DEVICE,
    TOPIC,
    FakeBanks,
    FakeClock,
    FakeFetcher,
    FakeJournal,
    FakeLink,
    FakeRuntime,
    PowerCut,
    World,
    _unless_power_cut,
    settled,
)

LONG = os.environ.get("MODELWAVE_LONG") == "1"
MAX_CALLS = 200


OLD = agent_release(1, b"old agent " * 250)
GOOD = agent_release(2, b"new agent " * 300)
BAD = agent_release(3, b"BAD agent " * 300)  # cannot be installed
CRASHES = agent_release(4, b"CRASHES " * 300)  # ends at its start
DEAF = agent_release(5, b"DEAF " * 300)  # never connects
QUITS = agent_release(6, b"QUITS " * 300)  # ends in order, before it is confirmed
ALL = (OLD, GOOD, BAD, CRASHES, DEAF, QUITS)


class Installer(FakeRuntime):
    """Makes the environment of a bank: it is gone first, and whole at the end."""

    name = format = AGENT_BUNDLE
    version = "1"

    async def prove(self, model_path, golden_path, manifest, breathe):
        place = os.path.basename(model_path)[0]
        self.world.call(lambda: self.world.environments.pop(place, None))
        data = self.world.held(model_path)
        if data.startswith(b"BAD"):
            return "it says that it is another"
        self.world.call(lambda: self.world.environments.update({place: data}))
        return ""


class EnvironmentBanks(FakeBanks):
    def clear(self, bank):
        self.world.call(lambda: self.world.environments.pop(NAMES[bank], None))
        super().clear(bank)


class Device(World):
    """A device with a launcher. `environments`: {bank: what was installed there, to its end}."""

    def __init__(self, folder, keeps_removals=True):
        super().__init__(folder, keeps_removals)
        self.environments = {}
        self.runs = []
        for release in ALL:
            self.files.update(release.files)

    def check_start(self, start, record):
        self.runs.append(start)
        if start.place == OWN:
            return
        bank = NAMES.index(start.place)
        entry = record["banks"][bank]
        installed = signing.sha(self.environments.get(start.place, b""))
        if entry is None or installed != entry["files"][0]["sha256"]:
            self.fault(f"{start} starts what the journal does not name")
        elif not entry["confirmed"] and not (start.on_trial and record["state"] == "trial"):
            self.fault(f"{start} is neither confirmed nor on trial")

    def boot_agent(self, start):
        itself = SelfUpdate(Line(start), None)
        clock = FakeClock(self)
        ports = AgentPorts(
            FakeJournal(self, self.folder, "digits"),
            EnvironmentBanks(self, self.folder),
            Installer(self),
            FakeFetcher(self),
            AgentHooks(itself, (), 1),
            clock,
        )
        ports.start = start
        root, problem = root_store.newest(self.folder, signing.root())
        device = Enrolment(DEVICE.name, DEVICE.target, root)
        update = Update("digits", device, ports)
        itself.join(update, {})
        is_deaf = self.environments.get(start.place, b"").startswith(b"DEAF")
        link = (DeafLink if is_deaf else FakeLink)(self)
        walk = RootWalk(device, self.folder, clock, problem)
        boots = Journal(self.folder, "device")
        agent = Agent(device, {"digits": update}, link, clock, boots, walk)
        agent.optional = tuple(one for one in agent.optional if one.topic != agent.reported)
        itself.echo = agent.echo
        itself.hear(update.report)
        return agent, itself

    def held(self, path):
        return Path(path).read_bytes()

    def kind(self, place):
        return self.environments.get(place, b"").split(b" ")[0]


async def live(world, done, cut_at):
    """One life of the device, with its launcher: until `done`, or the power goes."""
    asyncio.get_running_loop().set_exception_handler(_unless_power_cut)
    world.off, world.calls, world.cut_at = False, 0, cut_at
    failures, end = Failures(), None
    with world.medium.powered():
        for _ in range(MAX_RUNS):
            record = Journal(world.folder, "digits").read()
            start = next_start(record, end, world.environments.__contains__, failures)
            world.check_start(start, record)
            try:
                end, reached = await run_agent(world, start, done)
            except PowerCut:
                return False
            if reached:
                return True
            if world.off:
                return False
            failures.note(end)
    world.fault(f"{MAX_RUNS} runs of agents, and no end: {world.runs[-4:]}")
    return True


def until_settled(world, seq, cut_at=None):
    world.reports.clear()
    return asyncio.run(live(world, settled(world, seq), cut_at))


def prepared(folder, before, release, keeps_removals=True):
    folder.mkdir()
    world = Device(folder, keeps_removals)
    for seq, one in enumerate(before, 1):
        world.retained[TOPIC] = signing.order(one, seq)
        assert until_settled(world, seq)
    world.retained[TOPIC] = signing.order(release, len(before) + 1)
    world.faults.clear()
    return world


CASES = {
    "healthy": ([OLD], GOOD, "SUCCEEDED", OLD),
    "first": ([], GOOD, "SUCCEEDED", None),
    "revert": ([OLD, GOOD], OLD, "SUCCEEDED", GOOD),
    "not installed": ([OLD], BAD, "ROLLED_BACK", OLD),
    "crashes": ([OLD], CRASHES, "ROLLED_BACK", OLD),
    "first crashes": ([], CRASHES, "ROLLED_BACK", None),
    "deaf": ([OLD], DEAF, "ROLLED_BACK", OLD),
    "quits": ([OLD], QUITS, "ROLLED_BACK", OLD),
}


def play(world, case, cuts):
    before, release, outcome, previous = CASES[case]
    seq = len(before) + 1
    met = [not until_settled(world, seq, cut) for cut in cuts]
    if not until_settled(world, seq):
        world.fault("the device never came to an end")
    state = world.last_report()
    ends_with = release if outcome == "SUCCEEDED" else previous
    expected = (outcome, ends_with.document["release"] if ends_with else 0)
    if (state["outcome"], state["release"]) != expected:
        world.fault(f"ended as {state}, expected {expected}")
    # The power goes once more: which agent starts, and does it stay?
    world.reports.clear()
    asyncio.run(live(world, lambda _: bool(world.reports), None))
    running = world.environments.get(world.runs[-1].place)
    wanted = ends_with and ends_with.files[ends_with.document["files"][0]["sha256"]]
    if running != wanted:
        world.fault(f"{world.runs[-1]} runs in the end")
    banned = release.digest in world.durable()["blacklist"]
    if banned != (outcome == "ROLLED_BACK"):
        world.fault("a power cut is no failed health check, and only that blacklists")
    return all(met)


def sweep(folder, case, keeps_removals, step=1):
    before, release, *_ = CASES[case]

    def cut(call, when):
        world = prepared(folder / f"{when}-{call}", before, release, keeps_removals)
        return world, play(world, case, [(call, when)])

    calls = {when: range(1, MAX_CALLS, step) for when in ("before", "torn", "after")}
    return cut_sweep.sweep(calls, cut)


@pytest.mark.parametrize("case", CASES)
def test_an_update_without_a_cut_ends_as_it_should(tmp_path, case):
    before, release, *_ = CASES[case]
    world = prepared(tmp_path / "w", before, release)
    play(world, case, [])
    assert world.faults == []


@pytest.mark.slow
@pytest.mark.parametrize("keeps_removals", [True, False] if LONG else [True])
@pytest.mark.parametrize("case", CASES if LONG else ("healthy", "first crashes"))
def test_power_cut_at_every_port_call_leaves_an_agent_that_runs(tmp_path, case, keeps_removals):
    step = 1 if LONG else 8
    cases, bad = sweep(tmp_path, case, keeps_removals, step)
    print(f"{case}: {cases} power cuts, {len(bad)} with faults")
    assert bad == {}
    assert cases * step > 40


def test_three_power_cuts_on_trial_end_the_update_and_do_not_ban_it(tmp_path):
    world = prepared(tmp_path / "w", [OLD], GOOD)
    for _ in range(MAX_TRIES):
        asyncio.run(live(world, lambda _: world.runs[-1].on_trial, None))
    assert until_settled(world, 2)
    assert world.last_report()["outcome"] == "ROLLED_BACK"
    assert "reset 3 times" in world.last_report()["reason"]
    assert world.durable()["blacklist"] == []
    assert world.faults == []


@pytest.mark.parametrize("times", [1, 2])
def test_a_bank_that_cannot_be_read_on_trial_is_no_fault_of_the_new_agent(
    tmp_path, monkeypatch, times
):
    world = prepared(tmp_path / "w", [OLD], GOOD)
    left, right = [times], download.hash_file

    async def fails(path, digest, breathe):
        if world.runs[-1].on_trial and left[0]:
            left[0] -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        await right(path, digest, breathe)

    monkeypatch.setattr(download, "hash_file", fails)
    play(world, "healthy", [])
    assert world.faults == []
    assert left == [0]


@pytest.mark.slow
def test_the_sweep_goes_red_when_a_restart_goes_on_with_a_trial(tmp_path, monkeypatch):
    def trusts(record, end, is_usable, failures):
        """A faulty launcher, which starts what the journal has on trial whenever it starts."""
        if record and record["state"] == "trial":
            return Start(NAMES[1 - record["live"]], on_trial=True)
        return choice.next_start(record, end, is_usable, failures)

    assert choice.next_start is next_start
    monkeypatch.setitem(globals(), "next_start", trusts)
    monkeypatch.setitem(globals(), "MAX_RUNS", 8)
    world = prepared(tmp_path / "w", [], CRASHES)
    play(world, "first crashes", [])
    assert world.faults != []


def test_new_agent_is_taken_only_from_the_release_key(tmp_path):
    world = prepared(tmp_path / "w", [OLD], GOOD)
    stranger = agent_release(2, b"new agent " * 300)
    stranger.envelope = signing.envelope("manifest", stranger.document, signing.STRANGER)
    world.retained[TOPIC] = signing.order(stranger, 2)
    world.reports.clear()
    asyncio.run(live(world, lambda _: world.reports and world.reports[-1]["refused"], None))
    assert world.last_report()["release"] == 1
    assert set(world.environments) == {world.runs[-1].place}
    assert world.faults == []
