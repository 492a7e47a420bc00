"""Tests that no order is lost that comes in a bad moment: the medium, the runtime or memory does
not answer while it is judged."""

import asyncio
import contextlib

import pytest

from modelwave_agent import checks
from tests import signing
from tests.agent import fakes
from tests.agent.fakes import TOPIC, live, settled, world_with_live

ONE = signing.Release(1, b"first model " * 200)
TWO = signing.Release(2, b"second model " * 200)
LARGE = signing.Release(3, b"third model " * 200, needs=ONE.document["needs"] | {"ram": 10_000})
ERROR = OSError(5, "Input/output error")


@pytest.fixture
def world(tmp_path):
    """A device that runs ONE, by order 1."""
    made = world_with_live(tmp_path, ONE, TWO, LARGE)
    yield made
    assert made.faults == []


class Moment:
    """A bad moment, in which these functions raise ERROR."""

    def __init__(self, monkeypatch):
        self._monkeypatch = monkeypatch

    def begins(self, *places):
        def fails(*_):
            raise ERROR

        for owner, name in places:
            self._monkeypatch.setattr(owner, name, fails)

    def ends(self):
        self._monkeypatch.undo()


@pytest.fixture
def moment():
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield Moment(monkeypatch)


ROOM = (fakes.FakeBanks, "room")
RAM = (fakes.FakeRuntime, "free_ram")
READING = (checks, "judge")  # the order is not even read
MANIFEST = (next(row for row in checks.CHECKS if row.name == "manifest"), "check")


@contextlib.asynccontextmanager
async def running(world):
    with world.medium.powered():
        agent, update = world.boot()
        life = asyncio.create_task(agent.run())
        await until(lambda: update.work.booted.is_set() and world.reports)
        yield agent, update
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)


async def until(done):
    for _ in range(5000):
        if done():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came")


def told(world):
    return world.reports[-1]["refused"]


@pytest.mark.parametrize("place", [ROOM, RAM])
@pytest.mark.parametrize("order", [[2, 3], [3, 2]])
def test_of_orders_that_meet_one_bad_moment_the_newest_is_taken(world, moment, place, order):
    """The way back comes with the release that it takes back, on another topic or later."""
    messages = {2: signing.order(TWO, 2), 3: signing.order(ONE, 3)}

    async def main():
        async with running(world) as (_, update):
            judge, judged = update.inbox.judge, []

            async def noted(message):
                order = await judge(message)
                judged.append(message)
                return order

            moment.begins(place)
            update.inbox.judge = noted
            for number in order:
                world.deliver(TOPIC, messages[number])
                await until(lambda number=number: messages[number] in judged)
            await until(lambda: "judging: OSError: [Errno 5] Input/output error" in told(world))
            moment.ends()
            await until(lambda: world.last_report()["seq"] == 3)
            await until(lambda: world.last_report()["outcome"] == "SUCCEEDED")
            assert world.last_report()["release"] == 1
            assert told(world) == ""
            assert update.inbox.later is None

    asyncio.run(main())


def test_of_refused_orders_that_may_pass_later_the_newest_waits(world):
    """The clock is not set yet, or RAM is short; topics bring what they retain in any order."""
    world.ram = 10

    async def main():
        async with running(world) as (_, update):
            for number, release in ((3, ONE), (2, TWO)):
                world.deliver(TOPIC, signing.order(release, number))
                await until(lambda number=number: world.last_report()["seq"] == number)
            world.ram = 10**6
            await until(lambda: world.last_report()["outcome"] == "SUCCEEDED")
            assert world.last_report()["seq"] == 3
            assert update.inbox.later is None

    asyncio.run(main())


def test_order_that_was_taken_does_not_take_away_a_newer_one_that_waits(world):
    async def main():
        async with running(world) as (_, update):
            world.ram = 10
            world.deliver(TOPIC, signing.order(LARGE, 3))
            await until(lambda: world.last_report()["outcome"] == "REJECTED")
            world.ram = 1000
            world.deliver(TOPIC, signing.order(TWO, 2))
            await until(lambda: update.record["order"]["seq"] == 2)
            world.ram = 10**6
            await until(lambda: world.last_report()["seq"] == 3 and update.live())
            await until(lambda: world.last_report()["outcome"] == "SUCCEEDED")

    asyncio.run(main())


@pytest.mark.parametrize("message", [b"rubbish", signing.order(ONE, 1)])
@pytest.mark.parametrize("place", [ROOM, READING])
def test_what_can_never_be_taken_keeps_no_place_from_the_next_order(world, moment, place, message):
    """Such as the order that was done long ago, which comes again with each connection."""

    async def main():
        async with running(world) as (agent, update):
            moment.begins(place)
            world.deliver(TOPIC, message)
            if place is READING:
                await until(lambda: "judging" in told(world))
                assert update.has_seen(0, 9)  # it may have been that one
            moment.ends()
            await until(lambda: "judging" not in told(world))
            assert update.inbox.later is None
            moment.begins(place)
            world.retained[TOPIC] = signing.order(TWO, 2)
            world.deliver(TOPIC, world.retained[TOPIC])
            await until(lambda: "judging" in told(world))
            moment.ends()
            await until(lambda: world.last_report()["seq"] == 2)
            assert told(world) == ""
            assert not update.has_seen(0, 9)  # so an order that is withheld is noticed
            agent.view.answer = {"root": 1, "epoch": 0, "models": {"digits": 9}}
            assert agent.view._missing() == "order 9 of digits has not come"

    asyncio.run(main())


@pytest.mark.parametrize("place", [READING, MANIFEST])
def test_message_that_is_not_known_to_be_whole_does_not_wait_but_comes_again(world, moment, place):
    """A stranger's copy of the order, with another second line, could have its place."""

    async def main():
        async with running(world) as (_, update):
            moment.begins(place)
            world.retained[TOPIC] = signing.order(TWO, 2)
            world.deliver(TOPIC, world.retained[TOPIC])
            waited = []  # at each turn: it is judged again and again
            await until(lambda: waited.append(update.inbox.later) or len(waited) == 300)
            assert "judging" in told(world)
            assert not any(waited)
            moment.ends()
            await until(lambda: world.last_report()["seq"] == 2)
            assert told(world) == ""

    asyncio.run(main())


def test_order_under_way_goes_on_after_a_reset_though_room_cannot_be_told(world, moment):
    world.retained[TOPIC] = signing.order(TWO, 2)
    files, world.files = world.files, {}
    assert asyncio.run(live(world, lambda update: update.report.fault))
    assert world.durable()["state"] == "fetching"
    world.files = files
    moment.begins(ROOM)
    assert asyncio.run(live(world, settled(world, 2)))
    assert world.last_report()["outcome"] == "SUCCEEDED"


def test_order_that_is_rejected_in_the_end_says_no_more_that_it_was_not_judged(world, moment):
    async def main():
        async with running(world):
            moment.begins(ROOM)
            world.deliver(TOPIC, signing.order(TWO, 2))
            await until(lambda: "judging" in told(world))
            moment.ends()
            world.ram = 10
            await until(lambda: world.last_report()["outcome"] == "REJECTED")
            assert told(world) == ""

    asyncio.run(main())


def test_runtime_that_raises_a_value_error_does_not_reject_the_order(world, moment):
    def fails(_):
        raise ValueError("no number")

    async def main():
        async with running(world):
            with pytest.MonkeyPatch.context() as monkeypatch:
                monkeypatch.setattr(*RAM, fails)
                world.deliver(TOPIC, signing.order(TWO, 2))
                await until(lambda: told(world) == "judging: RuntimeError: ValueError: no number")
                assert world.last_report()["outcome"] == "SUCCEEDED"  # of order 1
            await until(lambda: world.last_report()["seq"] == 2)

    asyncio.run(main())
