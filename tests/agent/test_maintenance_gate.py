"""Tests that a host's agent changes its model only inside the maintenance windows of the order."""

import asyncio
from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from modelwave_agent.host.maintenance import MaintenanceGate
from modelwave_shared import local_time
from modelwave_shared.maintenance import LENGTHS, MAX_RANGES, STARTS, WEEK
from tests import signing
from tests.agent.fakes import TOPIC, FakeClock, FakeHooks, FakeRuntime, World, live, settled
from tests.agent.fakes import world_with_live as with_live

OLD = signing.Release(1, b"old model " * 250)
NEW = signing.Release(2, b"new model " * 300)
HOUR = 3600


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A device that runs OLD, whose agent judges windows by UTC."""
    boot, prove = World.boot, FakeRuntime.prove

    def with_gate(self):
        agent, update = boot(self)
        self.gate = MaintenanceGate(update, FakeClock(self), UTC)
        self.agent = agent
        return agent, update

    async def counted(self, *arguments):
        self.world.proofs = getattr(self.world, "proofs", 0) + 1
        return await prove(self, *arguments)

    monkeypatch.setattr(World, "boot", with_gate)
    monkeypatch.setattr(FakeHooks, "may_update", lambda self, _: self.world.gate.closed())
    monkeypatch.setattr(FakeRuntime, "prove", counted)
    made = with_live(tmp_path, OLD, NEW)
    made.fetched = made.proofs = 0
    return made


def order(world, seq, release, in_hours, hours=1, **changes):
    """The device gets an order whose window begins in so many hours."""
    start = local_time.minute_of_week(world.wall + in_hours * HOUR, UTC)
    extra = {STARTS: [start], LENGTHS: [hours * 60]} | changes
    world.retained[TOPIC] = signing.order(release, seq, extra=extra)


def is_deferred(world):
    return world.reports and world.last_report()["outcome"] == "DEFERRED" and world.last_report()


def wait(world, asks=1):
    """A condition: the update was deferred so often; the agent is made to ask again at once."""
    told = []

    def done(update):
        fault = update.report.fault
        if is_deferred(world) and fault and fault.tries not in told:
            told.append(fault.tries)
            update.work.progress.update_now.set()
        return len(told) >= asks

    return done


def test_release_is_fetched_and_proven_but_goes_live_in_the_next_window(world):
    order(world, 2, NEW, in_hours=2)
    assert asyncio.run(live(world, wait(world)))
    state = is_deferred(world)
    assert state["reason"] == (
        "outside of its maintenance windows; the next one begins Fri 2027-01-15 10:01 +0000"
    )
    assert (state["release"], world.proofs) == (1, 1)
    assert world.fetched > 0
    world.wall += 2 * HOUR
    assert asyncio.run(live(world, settled(world, 2)))
    assert (world.last_report()["outcome"], world.last_report()["release"]) == ("SUCCEEDED", 2)
    assert world.faults == []


def test_while_it_waits_it_neither_fetches_nor_proves_again(world):
    order(world, 2, NEW, in_hours=2)
    assert asyncio.run(live(world, wait(world, asks=5)))
    assert world.proofs == 1


def test_inside_a_window_it_goes_live_at_once(world):
    order(world, 2, NEW, in_hours=-0.5)
    assert asyncio.run(live(world, settled(world, 2)))
    assert world.last_report()["outcome"] == "SUCCEEDED"


def shadow_order(world, seq, in_hours, **budget):
    extra = {"shadow": signing.SHADOW["extra"]["shadow"] | budget}
    start = local_time.minute_of_week(world.wall + in_hours * HOUR, UTC)
    extra |= {STARTS: [start], LENGTHS: [60]}
    world.retained[TOPIC] = signing.order(NEW, seq, shadow=True, extra=extra)


@pytest.mark.parametrize("else_trial", [False, True])
def test_shadow_waits_for_no_window_also_if_the_release_is_there_already(world, else_trial):
    shadow_order(world, 2, in_hours=2, else_trial=else_trial)
    first, second = settled(world, 2), settled(world, 3)

    def done(update):
        if first(update):
            shadow_order(world, 3, in_hours=2, else_trial=else_trial)
            world.agent.link.deliver(TOPIC, world.retained[TOPIC])
        return second(update)

    assert asyncio.run(live(world, done))
    assert world.last_report()["outcome"] == "SHADOWED"
    assert len(world.shadows) == 2
    assert world.faults == []


def test_trial_in_place_of_a_shadow_waits_for_a_window(world):
    world.cannot_shadow = "no"
    shadow_order(world, 2, in_hours=2, else_trial=True)
    assert asyncio.run(live(world, wait(world)))
    assert (is_deferred(world)["release"], world.proofs) == (1, 1)
    world.wall += 2 * HOUR
    assert asyncio.run(live(world, settled(world, 2)))
    assert world.last_report()["outcome"] == "SUCCEEDED"


def test_trial_goes_on_when_the_window_ends(world):
    order(world, 2, NEW, in_hours=-0.5)

    def done(update):
        if update.record["state"] == "trial":
            world.wall += 12 * HOUR
        return settled(world, 2)(update)

    assert asyncio.run(live(world, done))
    assert world.last_report()["outcome"] == "SUCCEEDED"


def test_order_without_windows_waits_for_none_and_ends_the_wait_of_another(world):
    order(world, 2, NEW, in_hours=2)
    assert asyncio.run(live(world, wait(world)))
    world.retained[TOPIC] = signing.order(OLD, 3)
    assert asyncio.run(live(world, settled(world, 3)))
    assert (world.last_report()["outcome"], world.last_report()["release"]) == ("SUCCEEDED", 1)


def test_clock_that_is_not_set_waits(world):
    order(world, 2, NEW, in_hours=-0.5)
    world.wall = None
    assert asyncio.run(live(world, wait(world)))
    assert is_deferred(world)["reason"] == (
        "maintenance windows: the clock of this device is not set"
    )


@pytest.mark.parametrize(
    "extra",
    [
        {STARTS: [1, 2]},
        {STARTS: "monday"},
        {STARTS: [True]},
        {STARTS: [WEEK]},
        {STARTS: [-1]},
        {LENGTHS: [0]},
        {LENGTHS: [WEEK + 1]},
        {STARTS: [], LENGTHS: []},
        {STARTS: [1] * (MAX_RANGES + 1), LENGTHS: [1] * (MAX_RANGES + 1)},
    ],
)
def test_windows_that_are_none_keep_the_old_model_and_are_told(world, extra):
    order(world, 2, NEW, 0, **extra)
    assert asyncio.run(live(world, wait(world)))
    assert is_deferred(world)["reason"].startswith("maintenance windows: ")
    assert is_deferred(world)["release"] == 1


def test_the_agent_asks_again_when_the_window_begins(world):
    """Also if its pauses are longer than the window."""
    order(world, 2, NEW, in_hours=1, hours=1)
    alarms = []

    def done(update):
        if world.gate._alarm and not alarms:
            alarms.append(world.gate._alarm.when() - asyncio.get_running_loop().time())
        return wait(world)(update)

    assert asyncio.run(live(world, done))
    assert HOUR - 120 < alarms[0] <= HOUR


def test_local_time_is_that_of_the_setting(world):
    order(world, 2, NEW, in_hours=2)
    world_boot = World.boot

    def in_berlin(self):
        agent, update = world_boot(self)
        self.gate = MaintenanceGate(update, FakeClock(self), ZoneInfo("Europe/Berlin"))
        return agent, update

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(World, "boot", in_berlin)
        assert asyncio.run(live(world, wait(world)))
    assert is_deferred(world)["reason"].endswith("begins Fri 2027-01-15 10:01 +0100")
