"""Tests `rollout promote`: it skips time, and a gate only by force and with a reason."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from observing_fleet import NEW, WINDOW, ObservingFleet, judging
from rollout_commands import Run
from rollout_world import World, newest, quick, seen

from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import control, rollouts
from modelwave_controller.rollout.plan import Plan
from modelwave_controller.rollout.state import FINISHED, HELD, RUNNING

ACCURACY = "accuracy >= baseline - 0.02"
STRICT = "accuracy >= baseline - 0.0001"  # which a few looks cannot pass
SKIPPED = "60 min of soak and 3 looks at what its devices measure"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=20)) as made:
        yield made


def soaking(*percents: float, **changes: Any) -> Plan:
    stage = {"soak_seconds": 3600, "deadline_seconds": 7200} | changes.pop("stage", {})
    return quick(*percents or (20, 50, 100), stage=stage, **changes)


def promote(world: World, reason: str = "", **options: bool) -> str:
    _, skipped = control.promote(world.store, None, reason, world.now, "eve@desk", **options)
    return skipped


def answer(world: World, outcome: str = "SUCCEEDED") -> None:
    world.answer(outcome, [d for d in world.devices.values() if not answered(d)])


def answered(device: Any) -> bool:
    return bool(device.models["digits"]["outcome"])


def begin(world: World, plan: Plan, outcome: str = "SUCCEEDED") -> None:
    """Opens the first stage, and lets its devices answer."""
    world.start(1, plan)
    world.tick()
    world.tick()
    answer(world, outcome)
    world.tick()


def opened(world: World) -> int:
    return len(newest(world).stages)


def test_a_promotion_ends_the_soak_and_says_what_it_skipped(world: World, run: Run) -> None:
    begin(world, soaking())
    assert (opened(world), seen(world).next) == (1, "stage 2 (50 %) opens in 60 min")
    ran = run("rollout", "promote", "1", "--reason", "a fix")
    assert ran.code == 0
    assert ran.out.endswith(f"skipped {SKIPPED}\n")
    assert seen(world).next == "stage 2 (50 %) opens"
    world.tick()
    assert opened(world) == 2
    row = seen(world).rows[0]
    assert row.gate == "PASS"
    assert row.promoted.endswith(f" skipped {SKIPPED}: a fix")
    [line] = [line for line in run("rollout", "log").lines() if "promoted" in line]
    assert "@" in line
    assert line.endswith(f"stage 1 promoted: a fix; skipped {SKIPPED}")
    assert "PASS, promoted" in run("rollout", "status").out
    assert run("rollout", "status", "--json").json()["rows"][0]["promoted"] == row.promoted


def test_the_stage_after_a_promoted_one_soaks_again_and_the_last_ones_promotion_finishes(
    world: World,
) -> None:
    begin(world, soaking())
    promote(world)
    world.tick()
    answer(world)
    world.tick()
    assert opened(world) == 2
    promote(world)
    world.tick()
    answer(world)
    world.tick()
    assert (opened(world), newest(world).status) == (3, RUNNING)
    promote(world)
    world.tick()
    assert newest(world).status == FINISHED


def test_a_full_promotion_skips_the_soak_of_all_stages_and_no_gate(world: World) -> None:
    begin(world, soaking())
    promote(world, full=True)
    world.tick()
    assert opened(world) == 2
    world.tick()
    assert seen(world).next.startswith("the gate decides when enough devices answered")
    assert seen(world).rows[1].promoted == ("eve@desk promoted stage 1 and those after it: no soak")
    answer(world)
    world.tick()
    assert opened(world) == 3
    answer(world, "ROLLED_BACK")
    world.tick()
    assert newest(world).back is not None


def test_a_pending_gate_is_passed_only_by_force_and_with_a_reason(world: World, run: Run) -> None:
    world.start(1, soaking())
    world.tick()
    world.answer("SUCCEEDED", list(world.devices.values())[:1])
    ran = run("rollout", "promote", "1")
    assert ran.code == 2
    assert "rollout 1 has not passed the PENDING of stage 1 (20 %): " in ran.err
    assert "`modelwave rollout promote 1 --force REASON` goes on in spite of that" in ran.err
    assert run("rollout", "promote", "1", "--force", " ").code == 2
    assert run("rollout", "promote", "1", "--force", "it hurts").code == 0
    world.tick()
    assert opened(world) == 2
    assert seen(world).rows[0].reason == "accepted by the operator: it hurts"
    assert "stage 1 promoted by force" in run("rollout", "log").out


@pytest.mark.parametrize("limit", [10, None], ids=["a limit", "the evidence"])
def test_a_fail_that_was_forced_does_not_count_again_but_one_more_roll_back_does(
    world: World, limit: float | None
) -> None:
    # Of 20 devices: 4, then 6 more. One of 4 is a FAIL by the limit, 2 by the evidence.
    plan = soaking(on_fail="hold", stage={"max_rolled_back_percent": limit})
    world.start(1, plan)
    world.tick()
    bad = 1 if limit else 2
    first = [d for d in world.devices.values() if world.ordered(d)]
    world.answer("ROLLED_BACK", first[:bad])
    world.answer("SUCCEEDED", first[bad:])
    world.tick()
    assert (newest(world).status, newest(world).stages[0].verdict) == (HELD, "FAIL")
    assert "promote 1 --force REASON` goes on in spite of it" in seen(world).next
    with pytest.raises(OperatorError, match="has not passed the FAIL of stage 1"):
        promote(world)
    with pytest.raises(OperatorError, match="promote 1 --force REASON"):
        rollouts.resume(world.store, "1", "", world.now)
    assert "the FAIL of stage 1" in promote(world, "a known sensor", force=True)
    assert newest(world).status == RUNNING
    world.tick()
    world.tick()
    assert (opened(world), newest(world).status) == (2, RUNNING)
    second = [d for d in world.devices.values() if not answered(d) and world.ordered(d)]
    world.answer("SUCCEEDED", second[1:])
    world.tick()
    assert newest(world).status == RUNNING
    world.answer("ROLLED_BACK", second[:1])
    world.tick()
    assert newest(world).status == HELD
    assert any(stage.verdict == "FAIL" for stage in newest(world).stages)


def test_a_held_rollout_goes_on_by_force_and_does_not_soak(world: World) -> None:
    begin(world, soaking(), "FAILED")
    assert newest(world).status == HELD
    with pytest.raises(OperatorError, match="has not passed the INCONCLUSIVE of stage 1"):
        promote(world)
    promote(world, "their network is down", force=True)
    world.tick()
    assert (opened(world), newest(world).status) == (2, RUNNING)


def test_what_cannot_be_promoted_says_what_leads_on(world: World) -> None:
    world.start(1, soaking())
    with pytest.raises(OperatorError, match=r"has opened no stage yet.*rollout watch 1`"):
        promote(world)
    world.tick()
    rollouts.pause(world.store, "1", "night", world.now)
    with pytest.raises(OperatorError, match="PAUSED: `modelwave rollout resume 1`"):
        promote(world, "now", force=True)
    rollouts.abort(world.store, "1", "rain", world.now)
    with pytest.raises(OperatorError, match="ABORTED: there is nothing to promote"):
        promote(world)


def test_a_stage_is_not_promoted_twice(world: World) -> None:
    begin(world, soaking())
    promote(world)
    with pytest.raises(OperatorError, match="nothing to skip; `modelwave rollout watch 1`"):
        promote(world)


def measuring(world: World, *gates: str, worse: float = 0.0, **changes: Any) -> ObservingFleet:
    """A fleet of which a half is opened in a first stage of four windows, and measures three."""
    fleet = ObservingFleet(world, worse=worse)
    plan = judging(*gates, stages=(50, 70, 100), **changes)
    first = plan.stages[0].model_copy(update={"soak_seconds": 4 * WINDOW})
    fleet.begin(plan.model_copy(update={"stages": (first, *plan.stages[1:])}), before=4)
    fleet.run(3)
    assert newest(world).status in (RUNNING, HELD)
    return fleet


def test_looks_to_come_are_skipped_where_no_named_gate_waits_for_them(world: World) -> None:
    measuring(world)
    assert promote(world) == "60 s of soak and 1 look at what its devices measure"
    world.tick()
    assert opened(world) == 2


def test_a_named_gate_that_no_look_has_passed_yet_is_skipped_only_by_force(world: World) -> None:
    measuring(world, STRICT)
    with pytest.raises(OperatorError, match=f"1 look at .*, at which {STRICT} would be judged"):
        promote(world)
    promote(world, "it is urgent", force=True)
    world.tick()
    assert opened(world) == 2


def test_a_look_that_fails_is_overruled_once_and_the_next_stages_look_fails_again(
    world: World,
) -> None:
    fleet = measuring(world, ACCURACY, worse=0.3, on_fail="hold")
    assert newest(world).status == HELD
    assert newest(world).stages[0].verdict == "FAIL"
    promote(world, "the labels are wrong", force=True)
    world.tick()
    world.tick()
    assert (opened(world), newest(world).status) == (2, RUNNING)
    found = fleet.run(8)
    assert found.status == HELD
    assert [stage.verdict for stage in found.stages] == ["PASS", "FAIL"]
    assert NEW in {fleet.release_of(device) for device in world.devices.values()}
