"""Tests that a stage for which the plan asks for approval opens only with it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rollout_commands import Run
from rollout_world import World, newest, quick, seen

from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import control
from modelwave_controller.phrases import moment
from modelwave_controller.rollout.plan import MAX_APPROVAL, Plan, make_plan
from modelwave_controller.rollout.state import FINISHED, NEW, RUNNING
from modelwave_controller.storage import log


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=10)) as made:
        yield made


def asking(*approvals: bool | str, **changes: Any) -> Plan:
    """A plan of 20, 50 and 100 % with these approvals before its stages."""
    made = quick(20, 50, 100, **changes)
    stages = [
        stage.model_copy(update={"approval": approval})
        for stage, approval in zip(made.stages, approvals, strict=True)
    ]
    return made.model_copy(update={"stages": tuple(stages)})


def go_on(world: World) -> None:
    for _ in range(2):
        world.answer("SUCCEEDED", world.devices.values())
        world.tick()


def approve(world: World, stage: int | None = None) -> int:
    return control.approve(world.store, None, stage, "seen", world.now, "eve@desk")


def opened(world: World) -> int:
    return len(newest(world).stages)


def kinds(world: World) -> list[str]:
    with world.store.read() as connection:
        return [event.body.kind for event in log.events_after(connection, reports_of=[])]


def test_a_stage_waits_for_approval_and_says_since_when_what_to_check_and_how(
    world: World, run: Run
) -> None:
    world.start(1, asking(False, "see the dashboard", False))
    world.tick()
    go_on(world)
    since = moment(world.now)
    world.now += 1000
    go_on(world)
    assert (opened(world), newest(world).status) == (1, RUNNING)
    found = seen(world)
    assert found.why == (
        f"stage 2 (50 %) waits for approval since {since} (see the dashboard); stage 1 (20 %): 2 "
        "of 2 devices succeeded"
    )
    assert found.next.startswith("`modelwave rollout approve 1` lets it open; ")
    waits = run("rollout", "status", "--json").json()["waits"]
    assert waits == {
        "what": "approval",
        "stage": 2,
        "since": world.now - 1000,
        "until": None,
        "check": "see the dashboard",
        "command": "modelwave rollout approve 1",
        "not_by": "",
    }
    assert run("rollout", "approve", "1", "--reason", "looks well").code == 0
    assert seen(world).waits is None
    world.tick()
    assert opened(world) == 2
    log = run("rollout", "log").out
    assert "stage 2 waits for approval" in log
    assert "stage 2 approved: looks well" in log
    go_on(world)
    assert newest(world).status == FINISHED


def test_the_first_stage_may_ask_and_the_wait_is_noted_once(world: World) -> None:
    world.start(1, asking(True, False, False))
    world.tick()
    world.tick()
    assert (opened(world), newest(world).status) == (0, NEW)
    assert kinds(world) == ["created", "approval_asked"]
    with pytest.raises(OperatorError, match="rollout approve 1` gives the approval"):
        control.promote(world.store, None, "", world.now)
    approve(world)
    world.tick()
    assert opened(world) == 1


def test_a_gate_that_passed_before_the_wait_is_noted_once(world: World) -> None:
    world.start(1, asking(False, True, False))
    world.tick()
    go_on(world)
    approve(world)
    world.tick()
    assert kinds(world).count("gated") == 1
    assert newest(world).stages[0].verdict == "PASS"


def test_approval_ahead_of_time_is_for_that_stage_only(world: World) -> None:
    world.start(1, asking(False, True, True))
    approve(world, 3)
    world.tick()
    go_on(world)
    go_on(world)
    assert opened(world) == 1
    approve(world)
    go_on(world)
    go_on(world)
    assert newest(world).status == FINISHED


def test_a_roll_back_while_it_waits_reverts(world: World) -> None:
    world.start(1, asking(False, True, False))
    world.tick()
    go_on(world)
    world.answer("ROLLED_BACK", world.devices.values())
    world.tick()
    assert newest(world).back is not None
    assert seen(world).waits is None


def test_a_full_promotion_skips_no_approval(world: World) -> None:
    world.start(1, asking(False, True, False))
    world.tick()
    control.promote(world.store, None, "urgent", world.now, force=True, full=True)
    go_on(world)
    assert opened(world) == 1
    assert seen(world).waits is not None


def test_what_cannot_be_approved_says_what_leads_on(world: World) -> None:
    world.start(1, asking(False, False, True))
    follow = "`modelwave rollout watch 1` follows it"
    other = "`modelwave rollout approve 1 --stage 3` approves one that does"
    for stage, problem in (
        (None, f"stage 1 (20 %) waits for no approval; {other}"),
        (2, f"stage 2 (50 %) waits for no approval; {other}"),
        (4, f"--stage: rollout 1 has no stage 4, of 3; {other}"),
        (0, f"--stage: rollout 1 has no stage 0, of 3; {other}"),
    ):
        with pytest.raises(OperatorError) as error:
            approve(world, stage)
        assert str(error.value).endswith(problem)
    world.tick()
    with pytest.raises(OperatorError, match="has opened already"):
        approve(world, 1)
    approve(world, 3)
    with pytest.raises(OperatorError, match=f"was approved by eve@desk; {follow}"):
        approve(world, 3)
    go_on(world)
    go_on(world)
    with pytest.raises(OperatorError, match="is FINISHED: there is nothing to approve"):
        approve(world, 3)


@pytest.mark.parametrize("approval", [1, "", " ", "two\nlines", "x" * (MAX_APPROVAL + 1), ["a"]])
def test_a_wrong_approval_in_a_plan_is_refused_with_its_place(approval: Any) -> None:
    stages = [{"percent": 10}, {"percent": 100, "approval": approval}]
    with pytest.raises(OperatorError, match=r"stages\.1\.approval: (give true, or in|at most 200)"):
        make_plan({"stages": stages})


def test_lint_says_which_stages_wait_for_approval(world: World, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(
        'stages = [{ percent = 10, approval = true }, { percent = 100, approval = "the map" }]'
    )
    lines = run("rollout", "lint", "--plan", str(file)).lines()
    assert [line for line in lines if "approval" in line] == [
        "  opens after approval",
        "  opens after approval: the map",
    ]
