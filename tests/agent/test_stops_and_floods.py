"""A clean stop is no reset, and no flood of orders makes a device write at will."""

import asyncio
import errno
import json
import signal
import sys
import textwrap

import pytest

from modelwave_agent import ledger, machine, update
from modelwave_agent.host import HostAgent
from tests import signing
from tests.agent import fakes
from tests.agent.fakes import TOPIC, live, lived, settled, world_with_live
from tests.agent.test_host_agent import run
from tests.agent.test_host_daemon import DAEMON, Digits, ended, started

ONE = signing.Release(1, b"model one " * 300)
TWO = signing.Release(2, b"model two " * 300)
WAITS = {"seconds": 0, "inferences": 5}


@pytest.fixture
def world(tmp_path):
    """One in which release 1 is live and an order for release 2 waits for inferences."""
    made = world_with_live(tmp_path, ONE, TWO)
    made.retained[TOPIC] = signing.order(TWO, 2, trial=WAITS)
    return made


async def until(world, done):
    """A life that ends with a clean stop. The power goes only then."""
    reached = []
    with world.medium.powered():
        agent, made = world.boot()
        await lived(agent, lambda: done(made) and (reached.append(1) or True))
    assert reached


def is_at(made, state):
    return made.work.booted.is_set() and made.record["state"] == state


def stopped_on_trial(world):
    asyncio.run(until(world, lambda made: is_at(made, "trial")))


def cut_on_trial(world):
    assert asyncio.run(live(world, lambda made: is_at(made, "trial")))


def confirmed(world):
    def done(made):
        if made.record["state"] == "trial":
            made.observe(2, 5, 0)
        return settled(world, 2)(made)

    return asyncio.run(live(world, done)) and world.last_report()["outcome"] == "SUCCEEDED"


def test_clean_stops_on_trial_count_for_nothing(world):
    for _ in range(2 * machine.MAX_TRIES):
        stopped_on_trial(world)
        assert (world.durable()["state"], world.durable()["tries"]) == ("fetching", 0)
    assert confirmed(world)
    assert world.faults == []


def test_clean_stops_while_proving_count_for_nothing(world, monkeypatch):
    right = fakes.FakeRuntime.prove

    async def hangs(*arguments):
        await asyncio.Event().wait()

    monkeypatch.setattr(fakes.FakeRuntime, "prove", hangs)
    for _ in range(2 * machine.MAX_TRIES):
        asyncio.run(until(world, lambda made: is_at(made, "proving")))
        assert world.durable()["tries"] == 0
    monkeypatch.setattr(fakes.FakeRuntime, "prove", right)
    assert confirmed(world)


def test_power_cuts_between_clean_stops_still_count(world):
    for _ in range(machine.MAX_TRIES):
        stopped_on_trial(world)
        cut_on_trial(world)
    assert asyncio.run(live(world, settled(world, 2)))
    assert world.last_report()["outcome"] == "ROLLED_BACK"
    assert "reset 3 times" in world.last_report()["reason"]
    assert world.durable()["blacklist"] == []


def test_clean_stop_that_could_not_be_journalled_counts(world, monkeypatch):
    right = fakes.FakeJournal.write

    def write(journal, record):
        if record["state"] == "fetching" and world.durable()["state"] == "trial":
            raise OSError(errno.EIO, "Input/output error")
        right(journal, record)

    monkeypatch.setattr(fakes.FakeJournal, "write", write)
    stopped_on_trial(world)
    assert (world.durable()["state"], world.durable()["tries"]) == ("trial", 1)


def test_clean_stop_before_the_reset_was_dealt_with_gives_no_try_back(world):
    cut_on_trial(world)

    async def stopped_at_once():
        with world.medium.powered():
            agent, made = world.boot()
            running = asyncio.create_task(agent.run())
            await asyncio.sleep(0)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            assert not made.work.booted.is_set()

    asyncio.run(stopped_at_once())
    assert world.durable()["tries"] == 1


@pytest.mark.slow
def test_three_restarts_of_the_daemon_on_trial_do_not_end_it(tmp_path):
    async def main(made):
        path = str(made.toml())
        await made.order(Digits(2, "v2"), seconds=600)
        for _ in range(3):
            with started(*DAEMON, "run", "--config", path) as process:
                await made.state(lambda state: state["state"] == "trial")
                code, _ = await asyncio.to_thread(ended, process, signal.SIGTERM)
                assert code == 0
                await made.told("presence", lambda told: told == "offline")
        with started(*DAEMON, "run", "--config", path):
            state = await made.state(lambda state: state["state"] == "trial")
            assert (state["outcome"], state["seq"]) == ("", 1)

    run(tmp_path, main)


PROGRAM = """
from modelwave_agent.host import HostAgent
import sys, threading
try:
    with HostAgent.from_config(sys.argv[1]) as agent:
        threading.Event().wait()
finally:
    print("ended in order", file=sys.stderr)
"""


@pytest.mark.slow
def test_sigterm_ends_a_program_in_order_and_a_fault_of_the_program_counts_as_a_reset(tmp_path):
    async def main(made):
        path = made.toml()
        await made.order(Digits(2, "v2"), seconds=600)
        with started(sys.executable, "-c", textwrap.dedent(PROGRAM), str(path)) as process:
            await made.state(lambda state: state["state"] == "trial")
            code, told = await asyncio.to_thread(ended, process, signal.SIGTERM)
            assert (code, told.strip()) == (0, "ended in order")
            await made.told("presence", lambda told: told == "offline")
        with pytest.raises(ZeroDivisionError):
            await fails_on_trial(made, path)
        agent = HostAgent.from_config(path)
        assert (agent.journal()["digits"]["state"], agent.journal()["digits"]["tries"]) == (
            "trial",
            1,
        )

    run(tmp_path, main)


async def fails_on_trial(made, path):
    with HostAgent.from_config(path) as agent:
        assert agent.journal()["digits"]["tries"] == 0
        await made.state(lambda state: state["state"] == "trial")
        raise ZeroDivisionError


# Floods.


class Writes:
    """Counts the synced writes of the model's journal; time stands still but for `clock`."""

    def __init__(self, monkeypatch):
        self.count = 0
        self.clock = 0.0
        right = fakes.FakeJournal.write

        def write(journal, record):
            right(journal, record)
            self.count += 1

        monkeypatch.setattr(fakes.FakeJournal, "write", write)
        monkeypatch.setattr(fakes.FakeClock, "now", lambda clock: self.clock)


def flooded(world, orders, after=lambda made, number: None):
    """One life in which these orders come, each as soon as the last was judged."""
    world.retained[TOPIC] = orders[0]
    sent = [orders[0]]

    def done(made):
        judged = made.record["order"]["seq"] >= len(sent) + 1 or made.missed
        if judged and len(sent) < len(orders):
            after(made, len(sent))
            sent.append(orders[len(sent)])
            world.retained[TOPIC] = sent[-1]
            world.deliver(TOPIC, sent[-1])
        return len(sent) == len(orders) and judged

    return asyncio.run(live(world, done))


def test_orders_for_what_is_live_write_once_a_minute_at_most(world, monkeypatch):
    writes = Writes(monkeypatch)
    orders = [signing.order(ONE, seq) for seq in range(2, 202)]

    def passes(made, number):
        writes.clock += 1  # 200 orders in 200 seconds

    assert flooded(world, orders, passes)
    assert writes.count <= 1 + 200 // ledger.FLOOR_SECONDS
    assert world.last_report()["outcome"] == "SUCCEEDED"
    assert world.faults == []


class Second:
    """Delivers order `seq` for what is live as soon as the one before it was taken, whose floor is
    written at once."""

    def __init__(self, world, seq):
        self.world, self.seq = world, seq
        self.sent = False
        world.retained[TOPIC] = signing.order(ONE, seq - 1)

    def is_taken(self, made):
        if made.record["order"]["seq"] == self.seq - 1 and not self.sent:
            self.sent = True
            self.world.deliver(TOPIC, signing.order(ONE, self.seq))
        return made.record["order"]["seq"] == self.seq


def test_floor_that_waits_is_written_after_a_minute(world, monkeypatch):
    writes = Writes(monkeypatch)
    second = Second(world, 3)
    waited = []

    def done(made):
        if second.is_taken(made) and not waited:
            waited.append(world.durable()["order"]["seq"])
            writes.clock += ledger.FLOOR_SECONDS
        return waited and not made.ledger.is_ahead

    assert asyncio.run(live(world, done))
    assert waited == [2]
    assert world.durable()["order"]["seq"] == 3


def test_floor_that_waits_is_written_at_a_clean_stop(world, monkeypatch):
    Writes(monkeypatch)
    asyncio.run(until(world, Second(world, 3).is_taken))
    assert world.durable()["order"]["seq"] == 3


def test_success_after_a_roll_back_does_not_wait_to_be_written(world, monkeypatch):
    """A reset would take back what the report has told."""
    Writes(monkeypatch)
    world.retained[TOPIC] = signing.order(TWO, 2, trial=WAITS)
    sent = []

    def done(made):
        if made.record["state"] == "trial":
            made.observe(2, 1, 1)
        if made.record["outcome"] == "ROLLED_BACK" and not sent:
            sent.append(world.deliver(TOPIC, signing.order(ONE, 3)))
        return sent and made.record["outcome"] == "SUCCEEDED"

    assert asyncio.run(live(world, done))
    assert (world.durable()["order"]["seq"], world.durable()["outcome"]) == (3, "SUCCEEDED")


def test_older_order_stays_refused_after_a_reset_once_the_newer_one_comes_again(world, monkeypatch):
    Writes(monkeypatch)
    assert flooded(world, [signing.order(ONE, seq) for seq in (2, 3, 4)])
    assert world.durable()["order"]["seq"] == 2
    world.retained[TOPIC] = signing.order(ONE, 4)  # what the broker retains
    told = []

    def done(made):
        if made.record["order"]["seq"] == 4 and not told:
            told.append(world.deliver(TOPIC, signing.order(TWO, 3)))
        return told and "older than order 4" in world.reports[-1]["refused"]

    assert asyncio.run(live(world, done))
    assert world.durable()["banks"][1]["release"] == 1


def test_flood_of_orders_for_other_releases_is_bounded_and_the_last_one_is_taken_later(
    world, monkeypatch
):
    writes = Writes(monkeypatch)
    numbers = range(2, 2 + 5 * update.MAX_ORDERS)
    assert flooded(world, [signing.order(TWO, seq, trial=WAITS) for seq in numbers])
    bounded = writes.count
    assert bounded <= 6 * update.MAX_ORDERS  # of a whole update
    assert "16 orders came in 10 minutes" in json.dumps(world.reports)
    writes.clock += update.ORDERS_SECONDS
    world.reports.clear()

    def done(made):
        if made.record["state"] == "trial":
            made.observe(2, 5, 0)
        return settled(world, numbers[-1])(made)

    assert asyncio.run(live(world, done))
    assert world.last_report()["outcome"] == "SUCCEEDED"
