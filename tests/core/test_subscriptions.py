"""Tests that topics are asked for again that a broker denies, as a cluster does for a while that
has lost a node."""

import asyncio

from modelwave_agent import required_topics
from modelwave_agent.optional_topics import AGAIN_SECONDS, LOST_SECONDS, OptionalTopic
from modelwave_agent.ports import BrokerLink, Clock, LinkLost


class Denying(BrokerLink):
    """Denies each topic as often as `times` says."""

    def __init__(self, **times):
        self.times = times
        self.asked = []

    async def denied(self, topics):
        self.asked.append(topics)
        found = [topic for topic in topics if self.times.get(topic, 0)]
        for topic in found:
            self.times[topic] -= 1
        return found


class Losing(Denying):
    """Loses the connection as often as `losses` says."""

    losses = 0

    async def denied(self, topics):
        found = await super().denied(topics)
        if self.losses:
            self.losses -= 1
            raise LinkLost("gone")
        return found


class Passing(Clock):
    def __init__(self):
        self.time = 0.0

    def now(self):
        return self.time

    async def sleep(self, seconds):
        self.time += seconds


def test_only_what_was_denied_is_asked_for_again_one_at_a_time():
    link, clock = Denying(b=1, c=2), Passing()
    asyncio.run(required_topics.subscribe(link, clock, ["a", "b", "c"]))
    assert link.asked == [["a", "b", "c"], ["b"], ["c"], ["c"]]
    assert clock.time == sum(required_topics.PAUSES[:2])


def test_what_is_granted_costs_one_packet():
    link, clock = Denying(), Passing()
    asyncio.run(required_topics.subscribe(link, clock, ["a", "b"]))
    assert (link.asked, clock.time) == ([["a", "b"]], 0)


def test_a_topic_that_stays_denied_ends_the_connection_and_is_named():
    link, clock, said = Denying(b=100), Passing(), ""
    try:
        asyncio.run(required_topics.subscribe(link, clock, ["a", "b"]))
    except LinkLost as error:
        said = str(error)
    assert "may not read b" in said
    assert clock.time == sum(required_topics.PAUSES)


def test_an_optional_topic_that_was_denied_is_asked_for_again_more_and_more_rarely():
    link, clock, answers = Denying(a=3), Passing(), []
    topic = OptionalTopic("a", answers.append)

    async def life():
        await topic.subscribe(link, clock)
        asked = []
        for _ in range(12):
            await clock.sleep(AGAIN_SECONDS)
            before = len(link.asked)
            await topic.ask_again(link, clock)
            if len(link.asked) > before:
                asked.append(clock.time / AGAIN_SECONDS)
        return asked

    assert asyncio.run(life()) == [1, 3, 7]
    assert answers == [False, True]


async def lost(asking):
    try:
        await asking
    except LinkLost:
        return True
    return False


def test_an_optional_topic_is_asked_for_again_after_the_connection_was_lost_meanwhile():
    """The next connection stands without it first: the broker may have meant it."""
    link, clock, answers = Losing(), Passing(), []
    link.losses = 1
    topic = OptionalTopic("a", answers.append)

    async def life():
        assert await lost(topic.subscribe(link, clock))
        await topic.subscribe(link, clock)
        assert len(link.asked) == 1
        await clock.sleep(AGAIN_SECONDS)
        await topic.ask_again(link, clock)
        await topic.ask_again(link, clock)

    asyncio.run(life())
    assert (len(link.asked), answers) == (2, [True])


def test_a_broker_that_ends_the_connection_twice_is_left_alone_for_a_day():
    link, clock, answers = Losing(), Passing(), []
    link.losses = 2
    topic = OptionalTopic("a", answers.append)

    async def life():
        assert await lost(topic.subscribe(link, clock))
        await clock.sleep(AGAIN_SECONDS)
        assert await lost(topic.ask_again(link, clock))
        await clock.sleep(LOST_SECONDS - 1)
        await topic.subscribe(link, clock)
        await topic.ask_again(link, clock)
        assert len(link.asked) == 2
        await clock.sleep(1)
        await topic.subscribe(link, clock)

    asyncio.run(life())
    assert (len(link.asked), answers) == (3, [True])
