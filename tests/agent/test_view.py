"""Tests a whole agent whose broker keeps orders from it: it notices, says so, and goes on."""

import asyncio
import json

import pytest

from modelwave_agent.freshness import ASK_SECONDS
from modelwave_agent.journal import Journal
from modelwave_agent.ports import LinkLost
from modelwave_shared import topics
from modelwave_shared.words import FRESH, UNANSWERED, WITHHELD
from tests import signing
from tests.agent.fakes import TOPIC, FakeJournal, FakeLink, lived, world_with_live

OLD = signing.Release(1, b"old model " * 250)
NEW = signing.Release(2, b"new model " * 300)
HEARTBEAT = topics.heartbeat("demo", "pi-1")
REPORTED = topics.reported("demo", "pi-1")


class Answering(FakeLink):
    """A broker with a controller behind it, which answers each nonce."""

    def __init__(self, world, **says):
        super().__init__(world)
        self.says = says
        self.answered = []  # nonces
        self.subscribed = []
        self.withheld = set()  # topics whose messages it keeps back

    async def subscribe(self, wanted):
        self.subscribed.append(wanted)
        await super().subscribe([topic for topic in wanted if topic not in self.withheld])

    async def publish(self, topic, payload, retain):
        await super().publish(topic, payload, retain)
        nonce = topic == REPORTED and json.loads(payload)["extra"].get("nonce")
        if nonce and HEARTBEAT not in self.withheld:
            self.answered.append(nonce)
            self.deliver(HEARTBEAT, self.heartbeat(nonce))

    def heartbeat(self, nonce):
        return signing.heartbeat(nonce, **self.says)

    @property
    def view(self):
        """What the device says of its view, and `refused` of the same report."""
        last = self.world.reports[-1] if self.world.reports else {"extra": {}, "refused": ""}
        return last["extra"].get("view"), last["refused"]


@pytest.fixture
def world(tmp_path):
    """A device that runs OLD by order 1. Its server has NEW."""
    return world_with_live(tmp_path, OLD, NEW)


def living(world, link, done):
    """Whether a life of the device with this link comes to `done(update)`."""
    agent, update = world.boot()
    agent.link = link
    return asyncio.run(lived(agent, lambda: done(update))), agent, update


def test_a_device_that_sees_all_is_fresh(world):
    link = Answering(world, models={"digits": 1})
    assert living(world, link, lambda _: link.view == (FRESH, ""))[0]
    assert len(set(link.answered)) == 1
    assert "nonce" not in world.reports[-1]["extra"]


def test_a_withheld_order_is_told_and_the_model_serves_on(world):
    link = Answering(world, models={"digits": 2})

    def done(update):
        assert update.live() is None or update.live().release == 1
        return link.view[0] == WITHHELD

    reached, _, update = living(world, link, done)
    assert reached
    assert link.view[1] == "withheld: order 2 of digits has not come"
    assert update.live().release == 1
    assert world.last_report()["outcome"] == "SUCCEEDED"


def test_an_order_that_comes_with_another_manifest_is_withheld(world):
    """A broker must not hide an order by breaking the line that the order key has not signed."""
    order = signing.order(NEW, 2).split(b"\n")[0]
    world.retained[TOPIC] = order + b"\n" + signing.Release(1, b"other").envelope
    link = Answering(world, models={"digits": 2})
    reached, _, _ = living(world, link, lambda _: link.view[0] == WITHHELD)
    assert reached
    assert "withheld: order 2 of digits has not come" in link.view[1]


def test_what_a_broker_has_kept_back_comes_when_the_device_asks_anew(world):
    """Or has lost: the device subscribes again, and then a broker sends what it retains."""
    link = Answering(world, models={"digits": 2})
    link.withheld.add(TOPIC)
    world.retained[TOPIC] = signing.order(NEW, 2)

    def done(update):
        if link.answered:
            link.withheld.clear()
        return update.record["order"]["seq"] == 2 and world.last_report()["release"] == 2

    reached, agent, _ = living(world, link, done)
    assert reached
    assert not agent.view.notes()


@pytest.mark.parametrize("changes", [{"target": "rp2040"}, {"issued": 0, "expires": 1}])
def test_an_order_that_was_refused_for_what_it_says_has_come(world, changes):
    """But not one for others, with which a broker could hide the one that it keeps back."""
    link = Answering(world, models={"digits": 2})
    world.retained[TOPIC] = signing.order(NEW, 2, **changes)
    word = WITHHELD if "target" in changes else FRESH
    turns = []

    def done(_):
        turns.append(1)
        return len(turns) > 1000 and link.view[0] == word

    assert living(world, link, done)[0]


def test_of_orders_that_cannot_be_read_nothing_is_said(world):
    link = Answering(world, models={"digits": 2})
    world.retained[TOPIC] = signing.order(NEW, 2, v=3, condition="at night")
    turns = []

    def done(_):
        turns.append(1)
        return len(turns) > 1000

    assert living(world, link, done)[0]
    assert link.view[0] == FRESH
    assert "order.v: 3 is a newer format" in link.view[1]


def test_a_frozen_view_is_told_and_updates_go_on(world):
    link = Answering(world)
    link.withheld.add(HEARTBEAT)
    agent, _ = world.boot()
    agent.link = link
    agent.view.frozen_seconds = 3600.0
    assert asyncio.run(lived(agent, lambda: link.view[0] == UNANSWERED))
    assert link.view[1] == "the view may be frozen: no heartbeat came for 1 h"
    world.retained[TOPIC] = signing.order(NEW, 2)
    agent, _ = world.boot()
    agent.link = Answering(world)
    agent.link.withheld.add(HEARTBEAT)
    assert asyncio.run(lived(agent, lambda: world.last_report()["release"] == 2))


def journal(world):
    return Journal(world.folder, "digits").read()


WRONG = {
    "replayed": lambda nonce: signing.heartbeat("0" * 16),
    "of another device": lambda nonce: signing.heartbeat(nonce, device="pi-2"),
    "of another fleet": lambda nonce: signing.heartbeat(nonce, fleet="other"),
    "by a thief": lambda nonce: signing.heartbeat(nonce, key=signing.STRANGER),
    "by the release key": lambda nonce: signing.heartbeat(nonce, key=signing.RELEASE_KEY),
    "from the future": lambda nonce: signing.heartbeat(nonce, time=signing.ISSUED + 4 * 10**8),
    "an order": lambda nonce: signing.order(NEW, 9).split(b"\n")[0],
    "of a newer format": lambda nonce: signing.heartbeat(nonce, v=2),
    "endless": lambda nonce: b"x" * 8194,
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_heartbeat_changes_nothing_and_is_told_once(world, case):
    link = Answering(world)
    link.heartbeat = WRONG[case]
    turns = []

    def done(_):
        turns.append(1)
        return len(turns) > 200

    before = journal(world)
    _, agent, _ = living(world, link, done)
    assert agent.view.word != FRESH
    assert journal(world) == before
    told = [report["refused"] for report in world.reports]
    assert told[-1].startswith("heartbeat: ")
    assert len([text for text in told if text]) == 1, told


def learns(world, time):
    """A life of the device, until it has the time of a heartbeat."""
    world.wall = time
    link = Answering(world, models={"digits": 1}, time=time)
    return living(world, link, lambda update: update.record["time"] == time)[0]


def test_times_that_are_learnt_are_written_once_a_day_at_most(world, monkeypatch):
    """Flash wears out, and who resets the device must not wear it out sooner."""
    written = []
    write = FakeJournal.write
    monkeypatch.setattr(
        FakeJournal, "write", lambda j, record: written.append(record["time"]) or write(j, record)
    )
    before = journal(world)["time"]
    for reset in range(10):  # one an hour
        assert learns(world, before + 3600 * (reset + 1))
    assert written == []
    assert learns(world, before + ASK_SECONDS)
    assert written == [before + ASK_SECONDS]
    assert journal(world)["time"] == before + ASK_SECONDS


class Denying(Answering):
    """Its access rules are from before there were heartbeats."""

    ends = False  # it ends the connection instead of a denial

    async def subscribe_if_allowed(self, wanted):
        self.subscribed.append(wanted)
        if self.ends:
            raise LinkLost("the broker closed the connection")
        return False


def test_a_broker_that_denies_heartbeats_is_told_and_orders_come(world):
    link = Denying(world)
    link.withheld.add(HEARTBEAT)
    world.retained[TOPIC] = signing.order(NEW, 2)
    assert living(world, link, lambda _: link.view[0] and world.last_report()["release"] == 2)[0]
    assert link.view == (UNANSWERED, "the broker denies heartbeat/pi-1: allow it to read")


def test_a_broker_that_ends_the_connection_for_heartbeats_is_asked_twice_a_day(
    world,
):
    link = Denying(world)
    link.ends = True
    link.withheld.add(HEARTBEAT)
    world.retained[TOPIC] = signing.order(NEW, 2)
    assert living(world, link, lambda _: link.view[0] and world.last_report()["release"] == 2)[0]
    assert link.subscribed.count([HEARTBEAT]) == 2
