"""Tests rollouts of one model beside each other on different targets, and a newer one that takes
the place of an older one on the same target."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rollout_commands import Run
from rollout_world import TARGET, Device, World, quick, seen
from test_retained_set import retained

from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import rollouts
from modelwave_controller.operations.rollouts import Request
from modelwave_controller.rollout.plan import Plan
from modelwave_controller.rollout.state import ABORTED, FINISHED, NEW, REVERTED, RUNNING

OTHER = "esp32"
BOTH = (TARGET, OTHER)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=10)) as made:
        made.add(10, OTHER)
        yield made


def of(world: World, target: str) -> list[Device]:
    return [device for device in world.devices.values() if device.target == target]


def status(world: World, number: int) -> str:
    return world.state().rollouts[number].status


def releases(world: World, target: str) -> set[Any]:
    """The manifests that the newest orders of the target's devices name."""
    orders = [world.ordered(device) for device in of(world, target)]
    return {order["manifest"] if order else None for order in orders}


def digest(world: World, release: int, target: str) -> str:
    return world.release(release, [target])[target].digest


def everywhere(world: World) -> None:
    """Release 1 is live on both targets."""
    world.start(1, quick(100), BOTH)
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    assert status(world, 1) == FINISHED


def supersede(world: World, release: int, targets: tuple[str, ...], plan: Plan) -> int:
    request = Request(
        "digits", world.release(release, targets), (), plan, 0, supersede="a better one"
    )
    return rollouts.start(world.store, request, world.now, "eve@desk")


def test_one_of_two_parallel_rollouts_reverts_and_the_other_finishes(world: World) -> None:
    everywhere(world)
    assert world.start(2, quick(50, 100), [TARGET]) == 2
    world.tick()
    assert world.start(2, quick(50, 100), [OTHER]) == 3
    world.tick()
    assert (status(world, 2), status(world, 3)) == (RUNNING, RUNNING)
    bad = [d for d in of(world, TARGET) if d.models["digits"]["seq"] < world_seq(world, d)]
    world.answer("ROLLED_BACK", bad)
    world.answer("SUCCEEDED", of(world, OTHER))
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    world.tick()
    assert (status(world, 2), status(world, 3)) == (REVERTED, FINISHED)
    assert releases(world, TARGET) == {digest(world, 1, TARGET)}
    assert releases(world, OTHER) == {digest(world, 2, OTHER)}
    seqs = [seq for topic, seq in retained(world).items()]
    assert len(seqs) == len(set(seqs)), "each target has orders of its own"
    assert [topic for topic in retained(world) if OTHER in topic] == [
        f"modelwave/1/meadow/desired/{OTHER}/digits/all"
    ]


def world_seq(world: World, device: Device) -> int:
    order = world.ordered(device)
    return int(order["seq"]) if order else 0


def test_a_finished_target_is_settled_while_a_rollout_for_another_goes_on(world: World) -> None:
    world.start(1, quick(50, 100), [TARGET])
    world.start(1, quick(50, 100), [OTHER])
    for _ in range(3):
        world.tick()
        world.answer("SUCCEEDED", of(world, TARGET))
    world.tick()
    assert (status(world, 1), status(world, 2)) == (FINISHED, RUNNING)
    assert "all" in retained(world)
    assert not [topic for topic in retained(world) if topic.isdecimal()]


def test_a_finished_rollout_is_reverted_while_one_for_another_target_goes_on(world: World) -> None:
    everywhere(world)
    world.start(2, quick(100), [TARGET])
    world.tick()
    world.answer("SUCCEEDED", of(world, TARGET))
    world.tick()
    world.start(2, quick(50, 100), [OTHER])
    world.tick()
    rollouts.revert(world.store, "2", "it drifts", world.now)
    world.tick()
    assert releases(world, TARGET) == {digest(world, 1, TARGET)}
    assert status(world, 3) == RUNNING
    with pytest.raises(OperatorError, match="rollout 3 of digits is RUNNING: `modelwave rollout"):
        rollouts.revert(world.store, "1", "it is for both targets", world.now)


def test_a_newer_one_that_overlaps_is_refused_and_names_the_ways_out(
    world: World, run: Run
) -> None:
    world.start(1, quick(50, 100), [TARGET])
    world.tick()
    with pytest.raises(OperatorError) as error:
        world.start(2, quick(100), BOTH)
    assert str(error.value) == (
        "rollout 1 of digits for linux-cpu is RUNNING: `modelwave rollout watch 1` follows it, "
        "`modelwave rollout abort 1` ends it, --supersede REASON starts this one in its place, and "
        "--target esp32 leaves it alone"
    )
    for command in re.findall("`modelwave ([^`]+)`", str(error.value)):
        assert run(*command.split(), *(("--timeout", "0s") if "watch" in command else ())).code != 2


def test_a_newer_one_supersedes_an_older_one_in_one_step(world: World) -> None:
    everywhere(world)
    world.start(2, quick(50, 100), [TARGET])
    world.tick()
    before = {d.name: world_seq(world, d) for d in of(world, TARGET)}
    number = supersede(world, 3, (TARGET,), quick(50, 100))
    assert (status(world, 2), status(world, number)) == (ABORTED, NEW)
    assert seen(world, "2").why == f"superseded by rollout {number}: a better one"
    assert {d.name: world_seq(world, d) for d in of(world, TARGET)} == before
    assert releases(world, TARGET) == {digest(world, n, TARGET) for n in (1, 2)}
    for _ in range(3):
        world.tick()
        world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    assert status(world, number) == FINISHED
    assert releases(world, TARGET) == {digest(world, 3, TARGET)}
    assert releases(world, OTHER) == {digest(world, 1, OTHER)}


def test_a_newer_one_that_fails_goes_back_to_what_was_before_both(world: World) -> None:
    everywhere(world)
    world.start(2, quick(50, 100), [TARGET])
    world.tick()
    number = supersede(world, 3, (TARGET,), quick(100))
    world.tick()
    world.answer("ROLLED_BACK", of(world, TARGET))
    world.tick()
    world.answer("SUCCEEDED", of(world, TARGET))
    world.tick()
    assert status(world, number) == REVERTED
    assert releases(world, TARGET) == {digest(world, 1, TARGET)}


def test_it_supersedes_only_one_whose_targets_are_all_its_own(world: World) -> None:
    world.start(1, quick(50, 100), BOTH)
    world.tick()
    with pytest.raises(OperatorError, match="is also for esp32, where this one would not follow"):
        supersede(world, 2, (TARGET,), quick(100))
    assert status(world, 1) == RUNNING
    number = supersede(world, 2, BOTH, quick(100))
    assert (status(world, 1), status(world, number)) == (ABORTED, NEW)


def test_one_that_is_being_reverted_is_not_superseded(world: World) -> None:
    everywhere(world)
    rollouts.revert(world.store, "1", "it drifts", world.now)
    with pytest.raises(OperatorError, match=r"is REVERTING: .*wait until it is over"):
        supersede(world, 2, (TARGET,), quick(100))


def test_the_log_says_who_superseded_it_and_why(world: World, run: Run) -> None:
    world.shelve(2)
    world.start(1, quick(50, 100), [TARGET])
    assert run("rollout", "start", "digits", "2", "--supersede", " ").code == 2
    ran = run("rollout", "start", "digits", "2", "--supersede", "a loose sensor")
    assert ran.code == 0, ran.err
    [line] = [line for line in run("rollout", "log", "1").lines() if "aborted" in line]
    assert "@" in line
    assert line.endswith("aborted: superseded by rollout 2: a loose sensor")
