"""Tests of shadow stages together with what else a plan may have: parts, maintenance windows."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from observing_fleet import WINDOW
from rollout_world import TARGET, Device, World, newest, seen
from shadow_fleet import ShadowFleet, shadowing
from test_maintenance import NIGHT, at, judge_themselves
from test_shadow_stages import AGREES, finding, in_shadow, live

from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import control, linted, rollouts
from modelwave_controller.operations.status import StatusReader
from modelwave_controller.rollout.plan import make_plan
from modelwave_controller.rollout.state import FINISHED, HELD
from modelwave_controller.service.tick import Ticker

BOARD = "rp2350"
DAYS = 86400


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=12)) as made:
        yield made


def until_judged(world: World, fleet: ShadowFleet) -> None:
    for _ in range(40):
        if newest(world).stages[0].verdict:
            return
        fleet.step()
    pytest.fail(seen(world).why)


def test_what_the_first_part_has_compared_counts_when_the_last_part_opens_later(
    world: World,
) -> None:
    fleet = live(world)
    fleet.begin(shadowing(AGREES, first={"devices_per_minute": 1}), before=4)
    assert len(in_shadow(world)) < 6
    until_judged(world, fleet)
    found = finding(newest(world), AGREES)
    assert (found.verdict, found.canaries) == ("PASS", 6)
    assert fleet.run(40).status == FINISHED


def test_devices_that_only_shadowed_are_controls_in_the_lines_by_window(world: World) -> None:
    fleet = live(world)
    plan = shadowing(AGREES, gates=["accuracy >= baseline - 0.5"])
    answering = plan.stages[1].model_copy(update={"gates": None, "soak_seconds": 8 * WINDOW})
    stages = (plan.stages[0], answering, plan.stages[2])
    fleet.begin(plan.model_copy(update={"stages": stages}), before=4)
    for _ in range(40):
        fleet.step()
        if len(newest(world).stages) == 2 and newest(world).stages[1].looks:
            break
    found = next(one for one in newest(world).stages[1].looks[-1].findings if not one.target)
    with world.store.read() as connection:
        reader = StatusReader(connection, None, with_series=True)
        point = reader.read(connection, world.now).series[found.gate][0]
    assert (found.canaries, found.controls) == (3, 9)
    assert (point.canary_devices, point.devices) == (3, 12)


def test_a_shadow_opens_at_any_time_and_the_trial_waits_for_a_maintenance_window(
    world: World,
) -> None:
    fleet = live(world)
    world.now = at("2027-02-01 12:00")
    world._ticked = world.steady
    nightly = {"windows": [NIGHT], "timezone": "Europe/Berlin"}
    fleet.begin(shadowing(AGREES, maintenance=nightly), before=4)
    assert len(in_shadow(world)) == 6
    for _ in range(8):
        fleet.step()
    assert len(newest(world).stages) == 1
    assert finding(newest(world), AGREES).canaries == 6
    assert seen(world).why.startswith("stage 2 (20 %): outside of its maintenance windows")


def test_devices_that_may_go_straight_on_trial_wait_for_a_window(world: World) -> None:
    fleet = live(world)
    world.now = at("2027-02-01 12:00")
    world._ticked = world.steady
    nightly = {"windows": [NIGHT], "timezone": "Europe/Berlin"}
    plan = shadowing(AGREES, maintenance=nightly, shadow={"seconds": 120, "else_trial": True})
    fleet.begin(plan, before=4)
    assert in_shadow(world) == []
    judge_themselves(world)
    world.tick()
    assert len(in_shadow(world)) == 6
    until_judged(world, fleet)
    assert finding(newest(world), AGREES).canaries == 6


def test_a_shadow_stage_needs_no_deadline_that_a_maintenance_window_is_in() -> None:
    weekdays = {"windows": ["mon 01:00-04:00"]}
    first = {"deadline_seconds": DAYS}
    others = [{"percent": 100, "deadline_seconds": 8 * DAYS}]
    settings = {"maintenance": weekdays, "shadow": {"seconds": 600}}
    stages = [{"percent": 5, "shadow": True} | first, *others]
    assert make_plan(settings | {"stages": stages}).maintenance is not None
    with pytest.raises(OperatorError, match=r"stages\.0\.deadline"):
        make_plan(settings | {"stages": stages, "shadow": {"seconds": 600, "else_trial": True}})


def test_a_shadow_stage_too_short_for_a_look_is_refused() -> None:
    stage = {"percent": 5, "shadow": True, "soak_seconds": 600}
    settings = {"shadow": {"seconds": 600}, "judge": {"window_seconds": 900}}
    with pytest.raises(OperatorError, match=r"stages\.0\.soak: shorter than a window"):
        make_plan(settings | {"stages": [stage, {"percent": 100}]})
    blind = [stage | {"gates": []}, {"percent": 100}]
    assert make_plan(settings | {"stages": blind}).stages[0].shadow


@pytest.mark.parametrize("full", [False, True])
def test_a_promotion_of_a_shadow_needs_force_and_then_the_release_answers(
    world: World, full: bool
) -> None:
    fleet = live(world)
    fleet.begin(shadowing(AGREES), before=4)
    fleet.step()
    with pytest.raises(OperatorError, match="--force"):
        control.promote(world.store, "2", "", world.now, full=full)
    control.promote(world.store, "2", "urgent", world.now, full=full, force=True)
    for _ in range(3):
        world.tick()
    assert len(newest(world).stages) == 2
    assert fleet.run(30).status == FINISHED
    assert in_shadow(world) == []


def test_a_service_that_is_killed_in_each_window_finds_the_same(world: World) -> None:
    fleet = live(world)
    fleet.begin(shadowing(AGREES, first={"devices_per_minute": 2}), before=4)
    for _ in range(40):
        fleet.step()
        world.ticker = Ticker(world.store, world.issuer)
        world.tick()
    assert newest(world).status == FINISHED
    assert finding(newest(world), AGREES).canaries == 6


def test_named_devices_run_it_beside_the_live_one_and_then_answer(world: World) -> None:
    fleet = live(world)
    first = {"percent": None, "devices": ["d0", "d1", "d2"], "devices_per_minute": 1}
    fleet.begin(shadowing(AGREES, first=first), before=4)
    until_judged(world, fleet)
    assert finding(newest(world), AGREES).canaries == 3
    found = fleet.run(60)
    assert found.status in (FINISHED, HELD)
    assert in_shadow(world) == []


def test_lint_says_windows_of_no_stage_that_does_not_wait_for_them() -> None:
    stages = [{"percent": 5, "shadow": True}, {"percent": 100}]
    settings = {"shadow": {}, "maintenance": {"windows": [NIGHT]}, "stages": stages}
    first, second = linted.linted(make_plan(settings))
    assert first.opens == "all at once"
    assert "maintenance windows" in second.opens


def test_a_newer_rollout_ends_the_shadow_of_one_that_it_supersedes(world: World) -> None:
    fleet = live(world)
    fleet.begin(shadowing(AGREES, first={"devices_per_minute": 4}), before=4)
    fleet.step()
    request = rollouts.Request("digits", world.release(3), (), shadowing(AGREES), 0)
    rollouts.start(world.store, replace(request, supersede="a fix"), world.now)
    world.tick()
    orders = [world.ordered(device) for device in world.devices.values()]
    beside = {order["manifest"] for order in orders if order and order["shadow"]}
    assert beside == {fleet.new_manifest}
    others = {order["manifest"] for order in orders if order and not order["shadow"]}
    assert others == {world.state().rollouts[1].created.releases[TARGET].manifest}


def test_a_device_that_has_failed_goes_on_by_a_resume_or_a_retry_in_shadow(world: World) -> None:
    fleet = live(world)
    fleet.begin(shadowing(AGREES), before=4)
    failed, rejected = in_shadow(world)[:2]
    fleet.outcomes = {failed: "FAILED", rejected: "REJECTED"}
    assert fleet.run(20).status == HELD
    rollouts.resume(world.store, "2", "", world.now)
    rollouts.retry(world.store, "2", [rejected], [], "again", world.now)
    world.tick()
    for name in (failed, rejected):
        order = world.ordered(world.devices[name])
        assert order is not None
        assert (order["shadow"], order["device"]) == (True, name)
    fleet.outcomes = {}
    for _ in range(40):
        fleet.step()
    assert newest(world).status == FINISHED, seen(world).why


def test_one_device_is_too_few_for_a_gate_and_the_status_says_so(tmp_path: Path) -> None:
    with closing(World(tmp_path, devices=1)) as world:
        fleet = live(world)
        fleet.begin(shadowing(AGREES), before=4)
        assert fleet.run(20).status == HELD
        assert "too few to judge" in seen(world).why
        rollouts.resume(world.store, "2", "it is one device", world.now)
        assert fleet.run(20).status == FINISHED


def test_a_device_that_says_it_compared_very_much_weighs_as_one(world: World) -> None:
    fleet = live(world)
    fleet.begin(shadowing(AGREES), before=4)
    document, liar = fleet._shadow_document, in_shadow(world)[0]

    def lies(device: Device, number: int) -> dict[str, Any]:
        made = document(device, number)
        if device.name == liar:
            made |= {"inferences": 10**9, "shadow": {"compared": 10**9, "agreed": 0}}
        return made

    fleet._shadow_document = lies  # type: ignore[method-assign]
    fleet.run(20)
    found = finding(newest(world), AGREES)
    assert (found.verdict, found.canaries) == ("INCONCLUSIVE", 6)


def test_boards_that_cannot_shadow_hold_or_go_on_trial_beside_hosts_that_can(
    tmp_path: Path,
) -> None:
    for else_trial in (False, True):
        with closing(World(tmp_path / str(else_trial), devices=6)) as world:
            boards = {device.name for device in world.add(6, BOARD)}
            fleet = ShadowFleet(world)
            fleet.targets = (TARGET, BOARD)
            fleet.bring_old()
            fleet.outcomes = dict.fromkeys(boards, "SUCCEEDED" if else_trial else "REJECTED")
            shadow = {"seconds": 120, "else_trial": else_trial}
            fleet.begin(shadowing(AGREES, shadow=shadow), before=4)
            found = fleet.run(40)
            if else_trial:
                assert found.status == FINISHED
                agreement = finding(found, AGREES)
                assert (agreement.verdict, agreement.canaries) == ("PASS", 3)
            else:
                assert found.status == HELD
                assert "3 of 6 devices rejected" in seen(world).why


def test_a_device_that_joins_a_shadow_stage_late_is_waited_for(world: World) -> None:
    fleet = live(world)
    fleet.begin(shadowing(AGREES), before=4)
    fleet.step()
    late = world.add(6)
    fleet.numbers |= dict.fromkeys((device.name for device in late), 0)
    world.tick()
    joined = [device.name for device in late if device.name in in_shadow(world)]
    assert joined
    found = fleet.run(60)
    assert found.status == FINISHED, seen(world).why
    assert in_shadow(world) == []
