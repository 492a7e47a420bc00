"""Tests stages that name tags or devices: canaries of the operator's own, each with an order of its
own."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rollout_commands import Run
from rollout_world import FLEET, NO_RELEASE, World, newest, seen

from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import acts, rollouts
from modelwave_controller.rollout.plan import Plan, make_plan
from modelwave_shared.slots import slot


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=20)) as made:
        made.shelve(1)
        made.now = time.time()
        tag(made, "canary", "d3", "d7")
        yield made


def tag(world: World, word: str, *names: str) -> None:
    with world.store.write() as connection:
        for name in names:
            acts.tag(connection, name, [word], [], world.now)


def plan(*stages: dict[str, Any]) -> Plan:
    quick = {"soak_seconds": 0, "deadline_seconds": 100}
    return make_plan({"stages": [quick | stage for stage in stages], "trial": {"seconds": 1}})


CANARIES = plan({"tags": ["canary"]}, {"percent": 50}, {"percent": 100})


def ordered(world: World) -> set[str]:
    return {name for name, device in world.devices.items() if world.ordered(device)}


def succeed(world: World) -> None:
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()


def live(world: World) -> None:
    """Release 1 is live on all devices, by a rollout."""
    world.start(1)
    for _ in range(4):
        world.tick()
        succeed(world)
    assert newest(world).status == "FINISHED"


def runs(world: World, name: str) -> int:
    """The release of the newest order that the device reads."""
    order = world.ordered(world.devices[name])
    assert order is not None
    by_manifest = {world.release(number)["linux-cpu"].digest: number for number in (1, 2)}
    return by_manifest[order["manifest"]]


def test_only_the_canaries_are_ordered_first_and_each_by_an_order_of_its_own(
    world: World,
) -> None:
    world.start(1, CANARIES)
    world.tick()
    assert ordered(world) == {"d3", "d7"}
    for name in ("d3", "d7"):
        order = world.ordered(world.devices[name])
        assert order is not None
        assert (order["device"], "slots" in order) == (name, False)
    row = seen(world).rows[0]
    assert (row.name, row.devices) == ("stage 1 (tag canary)", 2)


def test_others_in_the_slot_of_a_canary_are_neither_ordered_nor_counted(world: World) -> None:
    number = next(n for n in range(100, 10**6) if slot("meadow", f"n{n}") == slot("meadow", "d3"))
    twin = world.add(1)[0]
    twin.name = f"n{number}"
    world.devices[twin.name] = twin
    world.hear([twin])
    world.start(1, CANARIES)
    world.tick()
    assert twin.name not in ordered(world)
    succeed(world)
    assert seen(world).rows[0].devices == 2


def test_rollout_goes_on_to_everybody_when_the_canaries_have_succeeded(world: World) -> None:
    world.start(1, CANARIES)
    world.tick()
    for _ in range(3):
        succeed(world)
    found = seen(world)
    assert found.status == "FINISHED"
    assert [row.succeeded for row in found.rows] == [2, 10, 10]
    assert ordered(world) == set(world.devices)


def test_canaries_that_fail_stop_the_rollout_before_anybody_else_has_an_order(
    world: World,
) -> None:
    live(world)
    world.start(2, CANARIES)
    world.tick()
    assert {name for name in world.devices if runs(world, name) == 2} == {"d3", "d7"}
    world.answer("ROLLED_BACK", [world.devices["d3"], world.devices["d7"]], "golden set failed")
    world.tick()
    assert seen(world).status == "REVERTING"
    assert {runs(world, name) for name in world.devices} == {1}
    world.answer("SUCCEEDED", [world.devices["d3"], world.devices["d7"]])
    world.tick()
    found = seen(world)
    assert (found.status, found.rows[-1].devices, found.rows[-1].succeeded) == ("REVERTED", 2, 2)


def test_revert_without_an_earlier_release_withdraws_the_orders_of_the_canaries(
    world: World,
) -> None:
    number = world.start(1, CANARIES)
    world.tick()
    rollouts.revert(world.store, str(number), "it is slow", world.now)
    world.tick()
    assert ordered(world) == set()
    assert seen(world).status == "REVERTED"


def test_rollout_after_one_that_was_aborted_at_its_canaries_orders_them_too(world: World) -> None:
    live(world)
    number = world.start(2, CANARIES)
    world.tick()
    world.answer("SUCCEEDED", [world.devices["d3"], world.devices["d7"]])
    rollouts.abort(world.store, str(number), "", world.now)
    assert {name for name in world.devices if runs(world, name) == 2} == {"d3", "d7"}
    world.start(1, plan({"percent": 100}))
    world.tick()
    assert {runs(world, name) for name in world.devices} == {1}


def test_canary_that_failed_can_be_ordered_anew(world: World) -> None:
    number = str(world.start(1, CANARIES))
    world.tick()
    canaries = [world.devices["d3"], world.devices["d7"]]
    world.answer("FAILED", canaries, "no disk")
    world.tick()
    assert seen(world).status == "HELD"
    rollouts.retry(world.store, number, [], [], "it has a disk now", world.now)
    world.tick()
    assert ordered(world) == {"d3", "d7"}
    succeed(world)
    world.tick()
    assert len(newest(world).stages) > 1


def test_named_devices_and_tags_are_put_together_and_nobody_is_asked_twice(world: World) -> None:
    tag(world, "site-7", "d7", "d9")
    world.start(
        1,
        plan(
            {"tags": ["canary"], "devices": ["d1"]},
            {"tags": ["site-7"]},
            {"percent": 100},
        ),
    )
    stages = newest(world).created.plan.stages
    assert [stage.devices for stage in stages] == [("d1", "d3", "d7"), ("d9",), ()]


def test_tags_given_after_the_start_change_nothing(world: World) -> None:
    rollout = world.start(1, CANARIES)
    tag(world, "canary", "d8")
    world.tick()
    assert ordered(world) == {"d3", "d7"}
    assert world.state().rollouts[rollout].created.plan.stages[0].devices == ("d3", "d7")


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ({"tags": ["nobody-has-it"]}, "stages.0: no device for tag nobody-has-it"),
        ({"devices": ["d99"]}, "stages.0.devices: d99 has not reported digits"),
        ({"devices": ["other"]}, "stages.0.devices: other has not reported digits"),
        ({"tags": ["esp"]}, "stages.0: no device for tag esp"),
    ],
)
def test_stage_that_would_be_empty_is_refused(
    world: World, stage: dict[str, Any], words: str
) -> None:
    (esp,) = world.add(1, "esp32")
    tag(world, "esp", esp.name)
    other = world.add(1)[0]
    other.name, other.models = "other", {"faces": dict(NO_RELEASE)}
    world.hear([other])
    with pytest.raises(OperatorError, match=words):
        world.start(1, plan(stage, {"percent": 100}))
    assert world.state().rollouts == {}


def test_more_devices_than_can_be_named_are_refused(world: World) -> None:
    many = world.add(101)
    tag(world, "many", *(device.name for device in many))
    with pytest.raises(OperatorError, match="101 devices; at most 100"):
        world.start(1, plan({"tags": ["many"]}, {"percent": 100}))


def forget(world: World, *names: str) -> None:
    with world.store.write() as connection:
        for name in names:
            acts.forget(connection, FLEET, name, world.now)


def test_a_canary_that_is_forgotten_before_its_stage_opens_is_named(world: World) -> None:
    world.start(1, plan({"devices": ["d1"]}, {"tags": ["canary"]}, {"percent": 100}))
    world.tick()
    forget(world, "d7")
    warning = "stage 2 (tag canary): left out, unless heard before it opens: d7"
    assert warning in seen(world).warnings
    succeed(world)
    found = seen(world)
    assert found.rows[1].devices == 1
    assert "stage 2 (tag canary): left out, as not known when it opened: d7" in found.warnings


def test_nobody_runs_the_release_before_canaries_that_are_all_forgotten(world: World) -> None:
    number = world.start(1, CANARIES)
    forget(world, "d3", "d7")
    world.tick()
    found = seen(world)
    assert (found.status, found.why) == (
        "HELD",
        "stage 1 (tag canary): none of its devices is known any more: d3, d7",
    )
    assert "stage 1 (tag canary) opens by itself when one of them reports again" in found.next
    assert "`modelwave rollout abort 1` ends it" in found.next
    assert ordered(world) == set()
    with pytest.raises(OperatorError, match="no device of its next stage is known"):
        rollouts.resume(world.store, str(number), "go on", world.now)
    rollouts.resume(world.store, str(number), "", world.now)
    world.tick()
    assert seen(world).status == "HELD"
    world.hear([world.devices["d3"]])
    world.tick()
    assert ordered(world) == {"d3"}
    assert seen(world).status == "RUNNING"


def test_a_stage_whose_canaries_are_all_forgotten_can_be_left_by_an_abort(world: World) -> None:
    number = world.start(1, CANARIES)
    forget(world, "d3", "d7")
    world.tick()
    rollouts.abort(world.store, str(number), "they are gone", world.now)
    world.start(1, plan({"devices": ["d1"]}, {"percent": 100}))
    world.tick()
    assert ordered(world) == {"d1"}


def test_dry_run_shows_the_canaries_and_the_command_starts_them(
    world: World, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "plan.toml"
    file.write_text('stages = [{ tags = ["canary"], soak = "1h" }, { percent = 100 }]')
    command = ("rollout", "start", "digits", "1", "--plan", str(file), "--dry-run")
    assert "1 (tag canary)  2        d3, d7" in run(*command).out
    planned = json.loads(run(*command, "--json").out)
    assert {d["device"] for d in planned["devices"] if d["stage"] == 0} == {"d3", "d7"}
    assert run(*planned["command"][3:]).code == 0
    world.tick()
    assert ordered(world) == {"d3", "d7"}
