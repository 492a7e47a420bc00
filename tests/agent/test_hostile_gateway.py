"""Tests a board whose only way to broker and files is a gateway that somebody has taken over.

He has the board's user at the broker, and each byte from and to the board passes through his hands.
He has no key. So he can keep back, repeat, exchange and mix what was signed, and write what was
not: the board goes on with the model that it has, and says what it misses. The controller's side is
in tests/controller/test_hostile_gateway.py.
"""

import asyncio
import json

import pytest

from modelwave_shared import proofs, topics
from modelwave_shared.words import FRESH, SUCCEEDED, UNANSWERED, WITHHELD
from tests import signing
from tests.agent.fakes import TOPIC, FakeLink, lived, world_with_live

OLD = signing.Release(1, b"old model " * 250)
RUNNING = signing.Release(2, b"new model " * 300)
NEXT = signing.Release(3, b"next model " * 300)
KEY = bytes(range(32))  # of the board's reports
HEARTBEAT, REPORTED = topics.heartbeat("demo", "pi-1"), topics.reported("demo", "pi-1")
OWN = topics.desired_device("demo", "pi-1", "digits")
MANY_TURNS = 600


class HostileGateway(FakeLink):
    """What the board is connected to. `newest`: the orders that the controller's heartbeats name;
    `instead`: makes of a heartbeat what the board gets, None for nothing."""

    def __init__(self, world, newest, instead=lambda heartbeat: heartbeat):
        super().__init__(world)
        self.newest, self.instead = newest, instead
        self.sent = []  # by the board, as it left it
        self.turns = 0

    async def publish(self, topic, payload, retain):
        self.sent.append((topic, payload))
        document = proofs.split(payload)[0]
        await super().publish(topic, document, retain)
        nonce = topic == REPORTED and json.loads(document)["extra"].get("nonce")
        if nonce:
            answer = self.instead(signing.heartbeat(nonce, models={"digits": self.newest}))
            if answer is not None:
                self.deliver(HEARTBEAT, answer)

    @property
    def view(self):
        return self.world.reports[-1]["extra"].get("view") if self.world.reports else None


@pytest.fixture
def world(tmp_path):
    """A board that runs RUNNING by order 2, after OLD by order 1."""
    made = world_with_live(tmp_path, OLD, RUNNING, NEXT)
    made.retained[TOPIC] = signing.order(RUNNING, 2)
    link = HostileGateway(made, 2)
    assert living(made, link, lambda: done_with(made, 2))
    made.reports.clear()
    return made


def done_with(world, seq):
    if not world.reports:
        return False
    state = world.last_report()
    return (state["seq"], state["outcome"], state["state"]) == (seq, SUCCEEDED, "idle")


def living(world, link, done, frozen_seconds=None):
    """Whether a life of the board behind this gateway comes to `done()`."""
    agent, _ = world.boot()
    agent.link, agent._report_key = link, KEY
    if frozen_seconds is not None:
        agent.view.frozen_seconds = frozen_seconds
    with world.medium.powered():
        return asyncio.run(lived(agent, done))


def for_a_while(link, word=None):
    """A condition: much has happened since, and the board says this of its view."""

    def done():
        link.turns += 1
        return link.turns > MANY_TURNS and word in (None, link.view)

    return done


# What it hands to the board in place of the newest order: what the controller has signed once, for
# this board or for others, or parts of it. And what the board says of that in `refused`.
IN_PLACE = {
    "an older order": ({TOPIC: signing.order(OLD, 1)}, "sequence: order 1 of epoch 0 is older"),
    "an older order on another topic": ({OWN: signing.order(OLD, 1)}, "sequence: order 1"),
    "the order for another slot": (
        {TOPIC: signing.order(NEXT, 3, slots=[[0, 0]])},
        "addressed: the order is not for slot",
    ),
    "the order of another target": (
        {TOPIC: signing.order(NEXT, 3, target="rp2040")},
        "addressed: the order is for target rp2040",
    ),
    "the order of another fleet": (
        {TOPIC: signing.order(NEXT, 3, fleet="other")},
        "addressed: the order is for fleet other",
    ),
    "an order with another manifest": (
        {TOPIC: signing.order(NEXT, 3).split(b"\n")[0] + b"\n" + OLD.envelope},
        "paired: the second line is not the manifest",
    ),
    "half of an order": ({TOPIC: signing.order(NEXT, 3)[:-200]}, "envelope: "),
    "an order by a key of its own": (
        {TOPIC: signing.order(NEXT, 3, key=signing.STRANGER)},
        "signed: signatures: 0 of the 1 needed",
    ),
    "a report of the board": ({TOPIC: b'{"boot":1,"n":1}'}, "lines: "),
    "nothing": ({}, ""),
}


@pytest.mark.parametrize("case", IN_PLACE)
def test_board_runs_what_it_ran_whatever_a_gateway_hands_to_it(world, case):
    handed, told = IN_PLACE[case]
    world.retained.clear()
    world.retained |= handed
    link = HostileGateway(world, 2)
    assert living(world, link, for_a_while(link))
    assert world.durable()["banks"][world.durable()["live"]]["release"] == 2
    assert all(report["models"]["digits"]["release"] == 2 for report in world.reports)
    assert [one for one in world.reports if one["refused"].startswith(told)]
    assert not world.faults


@pytest.mark.parametrize("case", ["an older order", "an order with another manifest", "nothing"])
def test_an_order_that_a_gateway_keeps_back_is_missed_and_told(world, case):
    """The heartbeat is signed and answers the board's own random number: it names order 3."""
    world.retained.clear()
    world.retained |= IN_PLACE[case][0]
    link = HostileGateway(world, 3)
    assert living(world, link, for_a_while(link, WITHHELD))
    assert "withheld: order 3 of digits has not come" in world.reports[-1]["refused"]


HEARTBEATS = {
    "none": lambda _: None,
    "an earlier one": lambda _: signing.heartbeat("0" * 16, models={"digits": 2}),
    "another board's": lambda _: signing.heartbeat("0" * 16, device="pi-2", models={"digits": 2}),
    "one of its own": lambda answer: answer.replace(b'"sig":"', b'"sig":"A'),
}


@pytest.mark.parametrize("case", HEARTBEATS)
def test_a_gateway_that_keeps_the_heartbeats_back_too_is_told(world, case):
    world.retained.clear()
    link = HostileGateway(world, 3, HEARTBEATS[case])
    assert living(world, link, lambda: link.view == UNANSWERED, frozen_seconds=3600.0)
    assert world.last_report()["release"] == 2


@pytest.mark.parametrize("in_place", ["other bytes", "an older file", "one byte more"])
def test_files_that_a_gateway_exchanges_are_not_kept(world, in_place):
    model = signing.sha(b"next model " * 300)
    world.files[model] = {
        "other bytes": b"x" * len(world.files[model]),
        "an older file": world.files[signing.sha(b"old model " * 250)],
        "one byte more": world.files[model] + b"x",
    }[in_place]
    world.retained[TOPIC] = signing.order(NEXT, 3)
    link = HostileGateway(world, 3)
    assert living(world, link, lambda: world.reports and world.last_report()["outcome"] == "FAILED")
    assert world.last_report()["release"] == 2
    assert not world.faults


def test_an_honest_gateway_gives_the_board_its_next_release(world):
    """So that what the tests above see is the attack's doing."""
    world.retained[TOPIC] = signing.order(NEXT, 3)
    link = HostileGateway(world, 3)
    assert living(world, link, lambda: done_with(world, 3) and link.view == FRESH)


def test_every_report_that_passes_through_a_gateway_is_proven(world):
    link = HostileGateway(world, 2)
    assert living(world, link, lambda: link.view == FRESH)
    reports = [payload for topic, payload in link.sent if topic == REPORTED]
    assert reports
    for payload in reports:
        document, proof = proofs.split(payload)
        assert proof == proofs.proof(KEY, REPORTED, document)
