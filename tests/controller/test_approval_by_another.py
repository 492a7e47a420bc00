"""Tests that a stage which asks for it opens only with the approval of another than who started the
rollout, and that nothing of what that one may do is a way around it."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rollout_commands import Run
from rollout_world import World, newest, quick, seen

from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import control, rollouts
from modelwave_controller.people import tokens
from modelwave_controller.phrases import moment
from modelwave_controller.rollout import events, waiting
from modelwave_controller.rollout.plan import Plan, make_plan
from modelwave_controller.rollout.state import HELD

PERCENTS = (20, 50, 100)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=10)) as made:
        yield made


def asking(*stages: int, check: bool | str = True) -> Plan:
    """A plan that asks for the approval of another before these stages, from 1."""
    made = quick(*PERCENTS, on_fail="hold")
    asked = {"approval": check, "approval_by": "another"}
    return made.model_copy(
        update={
            "stages": tuple(
                stage.model_copy(update=asked if number in stages else {})
                for number, stage in enumerate(made.stages, 1)
            )
        }
    )


def go_on(world: World, outcome: str = "SUCCEEDED") -> None:
    for _ in range(2):
        world.answer(outcome, world.devices.values())
        world.tick()


def approve(world: World, actor: str, stage: int | None = None) -> int:
    return control.approve(world.store, None, stage, "seen", world.now, actor)


def opened(world: World) -> int:
    return len(newest(world).stages)


def token(world: World, name: str, role: str) -> None:
    with world.store.write() as connection:
        tokens.make(connection, name, role, 86400, world.now, "adam@desk")


def test_who_started_cannot_approve_and_is_told_who_may(world: World) -> None:
    world.start(1, asking(2), actor="eve")
    world.tick()
    go_on(world)
    for name, role in (("eve", "admin"), ("otto", "operator"), ("bob", "approver")):
        token(world, name, role)
    begin = "rollout 1: stage 2 (50 %) asks for the approval of another than eve, who started it; "
    with pytest.raises(OperatorError) as error:
        approve(world, "eve")
    assert str(error.value) == f"{begin}bob may give it"
    with pytest.raises(OperatorError, match="than eve, who started it"):
        approve(world, "eve", 2)
    go_on(world)
    assert opened(world) == 1
    approve(world, "bob")
    world.tick()
    assert opened(world) == 2
    assert newest(world).approved[1].actor == "bob"


def test_before_it_waits_the_status_says_that_it_will(world: World) -> None:
    plan = asking(2)
    soaking = plan.stages[0].model_copy(update={"soak_seconds": 60})
    world.start(1, plan.model_copy(update={"stages": (soaking, *plan.stages[1:])}), actor="eve")
    world.tick()
    go_on(world)
    assert seen(world).next == "stage 2 (50 %) opens in 60 s, after approval by another than eve"
    approve(world, "bob")
    assert seen(world).next == "stage 2 (50 %) opens in 60 s"


def test_where_nobody_else_has_a_token_the_refusal_says_how_to_make_one(world: World) -> None:
    world.start(1, asking(1), actor="eve@desk")
    with pytest.raises(OperatorError) as error:
        approve(world, "eve@desk")
    assert str(error.value).endswith(
        "another user of this machine who may write to this home may give it, or somebody with an "
        "access token: `modelwave token create NAME --role approver`"
    )


def test_status_and_watch_say_for_whom_it_waits(world: World, run: Run) -> None:
    world.start(1, asking(2, check="the map"), actor="eve")
    world.tick()
    go_on(world)
    since = moment(world.now)
    assert seen(world).why.startswith(
        f"stage 2 (50 %) waits for approval by another than eve since {since} (the map); "
    )
    waits = run("rollout", "status", "--json").json()["waits"]
    assert (waits["what"], waits["not_by"], waits["check"]) == ("approval", "eve", "the map")
    assert run("rollout", "approve", "1").code == 0  # whoever runs the tests is another


@pytest.mark.parametrize(
    ("starter", "actor", "is_another"),
    [
        ("eve", "bob", True),
        ("eve", "eve", False),
        ("eve@desk", "bob@desk", True),
        ("eve@desk", "bob", True),
        ("local", "bob", True),
        ("local", "local", False),
        ("local", "eve@desk", False),
        ("eve@desk", "local", False),
        ("", "bob", False),
        ("eve", "", False),
    ],
)
def test_local_and_whoever_works_on_the_home_are_one_person(
    starter: str, actor: str, is_another: bool
) -> None:
    assert waiting.is_another(starter, actor) is is_another


def test_names_that_the_log_shortens_to_the_same_are_one_person(world: World) -> None:
    world.start(1, asking(1), actor="e" * events.MAX_SHOWN + "ve")
    with pytest.raises(OperatorError, match="of another than"):
        approve(world, "e" * events.MAX_SHOWN + "llen")


def test_a_rollout_that_nobody_started_by_name_is_not_begun(world: World) -> None:
    with pytest.raises(OperatorError, match="approval_by"):
        world.start(1, asking(3))


def test_promotion_by_force_and_resume_are_no_way_around(world: World) -> None:
    world.start(1, asking(2), actor="eve")
    world.tick()
    control.promote(world.store, None, "urgent", world.now, "eve", force=True, full=True)
    go_on(world, "ROLLED_BACK")
    assert newest(world).status == HELD
    control.promote(world.store, None, "urgent", world.now, "eve", force=True)
    go_on(world)
    rollouts.pause(world.store, "1", "", world.now, "eve")
    rollouts.resume(world.store, "1", "", world.now, "eve")
    go_on(world)
    assert opened(world) == 1
    assert seen(world).waits is not None


@pytest.mark.parametrize("overrule", ["promote", "resume"])
def test_an_approval_lapses_when_a_gate_is_overruled_after_it(world: World, overrule: str) -> None:
    world.start(1, asking(2, 3), actor="eve")
    world.tick()
    approve(world, "bob", 2)
    approve(world, "bob", 3)
    outcome = "ROLLED_BACK" if overrule == "promote" else "FAILED"
    go_on(world, outcome)
    assert newest(world).status == HELD
    if overrule == "promote":
        control.promote(world.store, None, "urgent", world.now, "eve", force=True)
    else:
        rollouts.resume(world.store, "1", "urgent", world.now, "eve")
    go_on(world, outcome)
    assert opened(world) == 1
    assert "waits for approval by another than eve" in seen(world).why
    approve(world, "bob")
    world.tick()
    assert opened(world) == 2
    assert list(newest(world).approved) == [1]


def test_an_approval_by_anybody_stays_when_a_gate_is_overruled(world: World) -> None:
    plan = asking(2)
    stages = [stage.model_copy(update={"approval_by": "anybody"}) for stage in plan.stages]
    world.start(1, plan.model_copy(update={"stages": tuple(stages)}), actor="eve")
    approve(world, "eve", 2)
    world.tick()
    go_on(world, "ROLLED_BACK")
    control.promote(world.store, None, "urgent", world.now, "eve", force=True)
    world.tick()
    assert opened(world) == 2


def test_the_field_is_written_only_where_it_is_used_and_plans_of_before_are_read() -> None:
    stages = [{"percent": 10, "approval": True}, {"percent": 100}]
    plain = make_plan({"stages": stages})
    assert "approval_by" not in plain.model_dump_json()
    assert Plan.model_validate_json(plain.model_dump_json()) == plain
    stages[0]["approval_by"] = "another"
    asked = make_plan({"stages": stages})
    dumped = json.loads(asked.model_dump_json())
    assert [stage.get("approval_by") for stage in dumped["stages"]] == ["another", None]
    assert Plan.model_validate_json(asked.model_dump_json()) == asked
    assert "approval_by" not in asked.model_dump()["stages"][1]


@pytest.mark.parametrize(
    ("stage", "problem"),
    [
        ({"approval_by": "another"}, r"stages\.1: approval_by: .*approval = true"),
        ({"approval": True, "approval_by": "bob"}, r"stages\.1\.approval_by"),
    ],
)
def test_a_wrong_field_is_refused_with_its_place(stage: dict[str, object], problem: str) -> None:
    with pytest.raises(OperatorError, match=problem):
        make_plan({"stages": [{"percent": 10}, {"percent": 100} | stage]})


def test_lint_says_that_another_has_to_approve(world: World, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    file.write_text('stages = [{percent = 100, approval = "the map", approval_by = "another"}]')
    lines = run("rollout", "lint", "--plan", str(file)).lines()
    assert "  opens after approval by another than who started it: the map" in lines
