"""Tests how an agent reconnects to its broker, and how often it reports: both must have limits."""

import asyncio

import pytest

from modelwave_agent.ports import LinkLost
from modelwave_shared import topics
from tests.agent.fakes import FakeClock, FakeLink, World, lived

TRIES = 12


class Sleeps(FakeClock):
    """A clock that records each sleep and returns at once; it stops after TRIES sleeps."""

    def __init__(self, world):
        super().__init__(world)
        self.naps = []
        self.enough = asyncio.Event()

    async def sleep(self, seconds):
        self.naps.append(seconds)
        if len(self.naps) >= TRIES:
            self.enough.set()
            await asyncio.Event().wait()
        self.seconds += seconds
        await asyncio.sleep(0)


class Unreachable(FakeLink):
    async def connect(self, will_topic, will):
        raise LinkLost("nobody listens")


async def naps_of(agent, work):
    """Returns the seconds that `work`, one of the agent's tasks, has slept before it was
    stopped."""
    task = asyncio.create_task(work)
    await agent.clock.enough.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return agent.clock.naps


def reconnecting(folder):
    async def life():
        world = World(folder)
        agent, _ = world.boot()
        agent.link, agent.clock = Unreachable(world), Sleeps(world)
        return await naps_of(agent, agent._stay_connected())

    return asyncio.run(life())


def test_pauses_before_a_new_connection_grow_up_to_a_minute(tmp_path):
    naps = reconnecting(tmp_path)
    for nap, pause in zip(naps, (2, 4, 8, 15, 30, 60, 60, 60, 60), strict=False):
        assert 0.8 * pause <= nap <= 1.2 * pause, naps


def test_devices_that_lost_their_broker_together_come_back_apart(tmp_path):
    """Without jitter a fleet would come at once, and bring the broker down again."""
    last = []
    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        last.append(reconnecting(folder)[-1])
    assert max(last) - min(last) > 1  # of 60 seconds


class Turns(FakeLink):
    """Notes each turn to the next address; `stands` seconds is how long a connection lasts."""

    def __init__(self, world, stands):
        super().__init__(world)
        self.turns = 0
        self.stands = stands

    async def receive(self):
        self.world.clock.seconds += self.stands
        raise LinkLost("the broker has ended")

    def turn(self):
        self.turns += 1


@pytest.mark.parametrize(("stands", "turns"), [(1, TRIES), (3600, 0)])
def test_address_is_left_for_the_next_unless_it_has_served(tmp_path, stands, turns):
    async def life():
        world = World(tmp_path)
        agent, _ = world.boot()
        world.clock = agent.clock = Sleeps(world)
        agent.link = Turns(world, stands)
        await naps_of(agent, agent._stay_connected())
        return agent.link.turns

    assert asyncio.run(life()) == turns


class Waits(FakeClock):
    """A clock that records each wait for an event; the wait ends at once, without the event."""

    def __init__(self, world):
        super().__init__(world)
        self.naps = []
        self.enough = asyncio.Event()

    async def wait(self, event, seconds):
        self.naps.append(seconds)
        if len(self.naps) >= TRIES:
            self.enough.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        return False


def test_a_report_is_repeated_ever_more_rarely_and_not_by_all_devices_at_once(tmp_path):
    async def life():
        world = World(tmp_path)
        agent, _ = world.boot()
        agent.clock = Waits(world)
        agent.connected.set()
        return await naps_of(agent, agent._report())

    naps = asyncio.run(life())
    for nap, pause in zip(naps, (60, 120, 240, 480, 900, 900, 900), strict=False):
        assert 0.8 * pause <= nap <= 1.2 * pause, naps
    assert len({round(nap) for nap in naps[4:]}) > 1, naps


class Notes(FakeLink):
    """Notes the topics that are published to."""

    def __init__(self, world):
        super().__init__(world)
        self.topics = []

    async def publish(self, topic, payload, retain):
        self.topics.append(topic)


def test_presence_is_told_with_each_report_that_is_repeated(tmp_path):
    """A broker that has lost the report has lost the presence too."""

    async def life():
        world = World(tmp_path)
        agent, _ = world.boot()
        agent.clock, agent.link = Waits(world), Notes(world)
        agent.connected.set()
        await naps_of(agent, agent._report())
        assert agent.link.topics[:6] == [agent.presence, agent.reported] * 3

    asyncio.run(life())


@pytest.mark.parametrize("taken", [False, True])
def test_a_lasting_connection_begins_the_pauses_anew(tmp_path, taken):
    """One that lasted was a good one; one that broke at once was not."""

    class Breaks(FakeLink):
        async def receive(self):
            agent.clock.seconds += 3600 if taken else 0
            raise LinkLost("it broke")

    async def life():
        nonlocal agent
        world = World(tmp_path)
        agent, _ = world.boot()
        agent.link, agent.clock = Breaks(world), Sleeps(world)
        return await naps_of(agent, agent._stay_connected())

    agent = None
    naps = asyncio.run(life())
    assert (max(naps) < 2) is taken, naps


class Recording(FakeLink):
    """Notes what is published. A LinkLost that arrives ends the connection."""

    def __init__(self, world):
        super().__init__(world)
        self.published = []  # (topic, payload, retain)

    async def publish(self, topic, payload, retain):
        self.published.append((topic, payload, retain))
        await asyncio.sleep(0)

    async def receive(self):
        raise await super().receive()

    def reports(self):
        return [sent for sent in self.published if sent[0] == topics.reported("demo", "pi-1")]


def test_after_a_lost_connection_presence_and_report_are_told_at_once(tmp_path):
    """The last will has said meanwhile that the device is gone; and the broker may be another,
    that retains nothing."""

    async def life():
        agent, _ = World(tmp_path).boot()
        agent.link = link = Recording(agent.link.world)
        online = (topics.presence("demo", "pi-1"), b"online", True)
        broken = []

        def done():
            if link.reports() and not broken:
                broken.append(len(link.reports()))
                link.arrived.put_nowait(LinkLost("it broke"))
            again = broken and len(link.reports()) > broken[0]
            return bool(again and link.published.count(online) == 2)

        return await lived(agent, done)

    assert asyncio.run(life())


def test_metrics_are_not_retained(tmp_path, monkeypatch):
    """A window that the broker keeps would be told anew to whoever subscribes."""
    monkeypatch.setattr(FakeClock, "METRICS_SECONDS", 1000)  # so that they are sent at once

    async def life():
        agent, _ = World(tmp_path).boot()
        agent.link = link = Recording(agent.link.world)
        agent.observe("digits", inferences=3)
        topic = topics.metrics("demo", "pi-1")
        assert await lived(agent, lambda: any(sent[0] == topic for sent in link.published))
        return [retain for sent, _, retain in link.published if sent == topic]

    assert asyncio.run(life()) == [False]
