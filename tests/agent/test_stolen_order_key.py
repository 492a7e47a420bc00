"""Tests a thief who has the order key: what they sign locks no device out beyond the epoch.

The operator revokes the key with the next root of trust, which begins a new epoch.
"""

import asyncio

import pytest

from modelwave_agent.heartbeat import judge
from modelwave_agent.record import new_record
from modelwave_shared import topics
from modelwave_shared.limits import (
    MAX_AHEAD_SECONDS,
    MAX_SEQ,
    MAX_SEQ_STEP,
    MAX_TIME,
    MAX_TIME_STEP_SECONDS,
)
from tests import signing
from tests.agent.fakes import DEVICE, TOPIC, live, settled, world_with_live

ONE = signing.Release(1, b"first model " * 200)
TWO = signing.Release(2, b"second model " * 200)
NEW_KEY = signing.Key(6)
CLOCKS = {"synchronised": (0, True), "set once": (0, False), "behind": (-9_000_000, False)}


@pytest.fixture
def world(tmp_path):
    """A device that runs ONE, by order 1."""
    made = world_with_live(tmp_path, ONE, TWO)
    yield made
    assert made.faults == []


def judged(world, message):
    """Delivers `message`; returns the model's part of the report once the device is idle again."""
    world.retained[TOPIC] = message
    world.reports.clear()
    turns = []

    def done(update):
        turns.append(bool(world.reports) and update.record["state"] == "idle")
        return sum(turns[-100:]) == 100

    assert asyncio.run(live(world, done))
    return world.last_report()


def is_taken(world, message, seq):
    return judged(world, message)["seq"] == seq and world.last_report()["outcome"] == "SUCCEEDED"


def revoked():
    """The root after the theft."""
    document = signing.root(version=2, epoch=1)
    document["keys"][NEW_KEY.id] = NEW_KEY.public.hex()
    document["roles"]["order"] = {"keyids": [NEW_KEY.id], "threshold": 1}
    return signing.root_envelope(document)


def honest_is_taken_in_the_next_epoch(world):
    world.retained[topics.root("demo", 2)] = revoked()
    order = signing.order(TWO, 1, NEW_KEY, epoch=1, issued=world.wall, expires=world.wall + 3600)
    world.retained[TOPIC] = order
    world.reports.clear()

    def done(update):
        return world.reports and world.last_report()["epoch"] == 1 and settled(world, 1)(update)

    assert asyncio.run(live(world, done))
    assert (world.last_report()["release"], world.last_report()["outcome"]) == (2, "SUCCEEDED")


@pytest.mark.parametrize("clock", CLOCKS)
def test_two_orders_of_the_future_lock_out_nobody(world, clock):
    """The first one put the signed time before the clock, and then the second one passed."""
    now = world.wall
    behind, world.is_synchronised = CLOCKS[clock]
    world.wall += behind
    near, far = now + 295, MAX_TIME
    assert is_taken(world, signing.order(ONE, 2, issued=near, expires=near + 3600), 2)
    assert not is_taken(world, signing.order(ONE, 3, issued=far - 1, expires=far), 3)
    assert is_taken(world, signing.order(TWO, 4, issued=now + 900, expires=now + 9000), 4) or (
        clock == "synchronised"  # it is valid in five minutes
    )
    world.wall = now
    honest_is_taken_in_the_next_epoch(world)


@pytest.mark.parametrize("clock", CLOCKS)
def test_what_one_order_can_do_to_the_time_ends_with_the_epoch(world, clock):
    now = world.wall
    behind, world.is_synchronised = CLOCKS[clock]
    world.wall += behind
    far = world.wall + MAX_AHEAD_SECONDS
    judged(world, signing.order(ONE, 2, issued=far, expires=far + 3600))
    assert world.durable()["time"] <= now + MAX_TIME_STEP_SECONDS
    world.wall = now
    honest = signing.order(TWO, 3, issued=now, expires=now + 3600)
    assert is_taken(world, honest, 3) == (clock == "synchronised")
    honest_is_taken_in_the_next_epoch(world)


@pytest.mark.parametrize("clock", CLOCKS)
def test_one_heartbeat_moves_the_time_by_a_step_at_most_and_never_back(clock):
    """It is signed by the same key as orders are."""
    known = signing.ISSUED + 3600
    behind, is_synchronised = CLOCKS[clock]
    record = {**new_record(), "time": known}

    def learnt(time):
        heard, wall = signing.heartbeat("0" * 16, time=time), known + behind
        return judge(heard, DEVICE, "0" * 16, [record], wall, is_synchronised)[1][0]

    assert learnt(known - 3600) == known
    if is_synchronised:
        with pytest.raises(ValueError, match="seconds ahead"):
            learnt(known + MAX_AHEAD_SECONDS)
    else:
        assert learnt(known + MAX_AHEAD_SECONDS) == known + MAX_TIME_STEP_SECONDS


def test_clock_that_is_synchronised_later_heals_the_time(world):
    now, world.is_synchronised = world.wall, False
    far = now + MAX_AHEAD_SECONDS
    assert is_taken(world, signing.order(ONE, 2, issued=far, expires=far + 3600), 2)
    honest = signing.order(TWO, 3, issued=now, expires=now + 3600)
    assert not is_taken(world, honest, 3)
    world.is_synchronised = True
    assert is_taken(world, honest, 3)
    assert world.durable()["time"] <= now


def test_highest_sequence_is_refused_and_honest_orders_are_taken(world):
    assert not is_taken(world, signing.order(ONE, MAX_SEQ), MAX_SEQ)
    assert is_taken(world, signing.order(TWO, 2), 2)


def test_what_one_order_can_do_to_the_sequence_ends_with_the_epoch(world):
    assert is_taken(world, signing.order(ONE, 1 + MAX_SEQ_STEP), 1 + MAX_SEQ_STEP)
    assert not is_taken(world, signing.order(TWO, 2), 2)
    honest_is_taken_in_the_next_epoch(world)


def test_what_the_thief_signs_is_taken_by_no_device_with_the_new_root(world):
    honest_is_taken_in_the_next_epoch(world)
    for epoch in (0, 1, 2):
        for seq in (2, 9, MAX_SEQ):
            assert not is_taken(world, signing.order(ONE, seq, epoch=epoch), seq)


def test_device_that_was_off_all_the_time_takes_nothing_of_the_thief(world):
    """The thief's order, of the highest sequence that it may have, waits for it with the root."""
    world.retained[topics.root("demo", 2)] = revoked()
    state = judged(world, signing.order(TWO, 1 + MAX_SEQ_STEP))
    assert (state["seq"], state["release"]) == (1, 1)
    assert world.served[-1] == 1
    honest_is_taken_in_the_next_epoch(world)


def test_ban_ends_with_the_epoch(world):
    bad = signing.Release(3, b"BAD model " * 200)
    world.files.update(bad.files)
    assert judged(world, signing.order(bad, 2))["outcome"] == "ROLLED_BACK"
    assert world.durable()["blacklist"] == [bad.digest]
    honest_is_taken_in_the_next_epoch(world)
    assert world.durable()["blacklist"] == []
