"""Rollouts in trouble that passes: each goes on by itself, or by a command that is named."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rollout_world import World, newest, quick, seen

from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import rollouts
from modelwave_controller.rollout.plan import Plan
from modelwave_controller.rollout.state import (
    FINISHED,
    HELD,
    PAUSED,
    REVERTED,
    REVERTING,
    RUNNING,
)
from modelwave_controller.storage import outbox

FOUR = 4


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=FOUR)) as made:
        yield made


def soaking(seconds: int) -> Plan:
    return quick(50, 100, stage={"soak_seconds": seconds})


# The deadline and the soak begin when the broker has acknowledged the orders.


def test_nobody_is_silent_who_was_not_sent_the_order(world: World) -> None:
    world.acknowledges = False
    world.start(1, quick(100))
    world.tick()
    world.now += 1000
    world.tick()
    found = seen(world)
    assert (found.status, found.rows[0].silent) == (RUNNING, FOUR)
    assert found.next == "its soak and deadline begin when the broker has acknowledged its orders"
    world.acknowledges = True
    world.tick()
    world.now += 99
    world.tick()
    assert newest(world).status == RUNNING
    world.now += 1
    world.tick()
    assert newest(world).status == HELD


def test_one_order_that_is_not_acknowledged_keeps_the_clocks_from_beginning(world: World) -> None:
    world.acknowledges = False
    world.start(1, quick(100))
    world.tick()
    with world.store.write() as connection:
        rest, *sent = outbox.unsent(connection, 10_000)
        outbox.mark(connection, [(m.topic, m.version) for m in sent])
    world.tick()
    assert newest(world).stages[0].waiting_since is None
    with world.store.write() as connection:
        outbox.mark(connection, [(rest.topic, rest.version)])
    world.tick()
    assert newest(world).stages[0].waiting_since is not None


def test_the_soak_begins_with_the_acknowledgement(world: World) -> None:
    world.acknowledges = False
    world.start(1, soaking(40))
    world.tick()
    world.now += 1000
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    assert len(newest(world).stages) == 1
    world.acknowledges = True
    world.tick()
    world.now += 39
    world.tick()
    assert len(newest(world).stages) == 1
    world.now += 1
    world.tick()
    assert len(newest(world).stages) == 2


def test_orders_that_are_sent_again_begin_no_clock_anew(world: World) -> None:
    world.start(1, soaking(40))
    world.tick()
    began = newest(world).stages[0].soaking_since
    world.acknowledges = False
    with world.store.write() as connection:
        outbox.unsend_all(connection, world.home.root.fleet)
    world.now += 10
    world.tick()
    assert newest(world).stages[0].soaking_since == began == newest(world).stages[0].waiting_since


# Held.


def hold_as_silent(world: World) -> None:
    world.start(1, soaking(40))
    world.tick()
    world.now += 100
    world.tick()
    assert newest(world).status == HELD


def test_a_held_rollout_whose_gate_passes_later_continues_by_itself(world: World) -> None:
    hold_as_silent(world)
    world.answer("SUCCEEDED", world.devices.values())
    found = seen(world)
    assert found.why.startswith("stage 1 (50 %): 2 of 2 devices silent or canceled")
    assert found.next == "it continues by itself at the service's next tick"
    world.tick()
    assert [stage.verdict for stage in newest(world).stages] == ["PASS", ""]
    assert newest(world).status == RUNNING


def test_a_held_rollout_says_why_it_was_held_and_how_it_is_now(world: World) -> None:
    world.start(1, soaking(40))
    world.tick()
    world.answer("FAILED", world.devices.values(), "HTTP 503")
    world.tick()
    assert newest(world).status == HELD
    world.answer("", world.devices.values())
    world.tick()
    found = seen(world)
    assert found.status == HELD
    assert "2 of 2 devices failed (100 %), the limit is 10 %; now 0 of 2 devices" in found.why
    assert "rollout resume" in found.next


def test_a_held_rollout_that_failed_does_not_continue_by_itself(world: World) -> None:
    world.start(1, quick(100, on_fail="hold"))
    world.tick()
    world.answer("ROLLED_BACK", world.devices.values())
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    assert newest(world).status == HELD
    assert "4 of 4 devices rolled back" in seen(world).why


def test_a_held_rollout_can_be_paused_and_then_does_not_continue_by_itself(world: World) -> None:
    hold_as_silent(world)
    rollouts.pause(world.store, "1", "over the weekend", world.now)
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    assert (newest(world).status, len(newest(world).stages)) == (PAUSED, 1)
    rollouts.resume(world.store, "1", "", world.now)
    world.tick()
    assert (newest(world).status, len(newest(world).stages)) == (RUNNING, 2)


def test_a_pause_beyond_the_deadline_leaves_the_whole_deadline_after_it(world: World) -> None:
    world.start(1, quick(100))
    world.tick()
    rollouts.pause(world.store, "1", "", world.now)
    world.now += 500
    world.tick()
    rollouts.resume(world.store, "1", "", world.now)
    world.tick()
    world.now += 99
    world.tick()
    assert newest(world).status == RUNNING
    world.now += 1
    world.tick()
    assert newest(world).status == HELD


# Reverting at once.


def test_a_revert_is_under_way_before_the_service_has_ticked(world: World) -> None:
    world.start(1, quick(100))
    for _ in range(2):
        world.tick()
        world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    assert newest(world).status == FINISHED
    rollouts.revert(world.store, "1", "it drifts", world.now)
    found = seen(world)
    assert (found.status, found.final, found.why) == (REVERTING, False, "it drifts")
    world.tick()
    assert seen(world).status == REVERTED


def test_nothing_starts_before_the_orders_of_a_revert_were_signed(world: World) -> None:
    world.start(1, quick(100))
    world.tick()
    rollouts.revert(world.store, "1", "it drifts", world.now)
    with pytest.raises(
        OperatorError, match=r"rollout 1 of digits for .* is REVERTING: .* follows it; wait"
    ):
        world.start(2)
    with pytest.raises(OperatorError, match="REVERTING: there is nothing to abort"):
        rollouts.abort(world.store, "1", "", world.now)
    world.tick()
    world.start(2)
