"""Tests that stages from a share on wait for another than who started the rollout, as the fleet's
settings ask, and that no plan is a way around it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rollout_commands import Run
from rollout_world import World, newest

from modelwave_controller.api import starts as calls
from modelwave_controller.desk.desk import Desk
from modelwave_controller.errors import OperatorError
from modelwave_controller.home import Home
from modelwave_controller.operations import control, rollouts, two_people
from modelwave_controller.people.roles import OPERATOR, Person
from modelwave_controller.results.starts import PlannedDevice
from modelwave_controller.rollout.plan import Plan, make_plan

EVERYBODY = {"tags": ["all"], "soak": "1m"}
ELSE = {"time": "1h", "else_trial": True}


def who_is_asked(plan: Plan, percent: float, *opened: int, known: int = 20) -> list[int]:
    """The stages, from 1, that wait for another; `opened`: how many devices each opens."""
    of = [number for number, count in enumerate(opened) for _ in range(count)]
    of += [len(plan.stages) - 1] * (known - len(of))
    shadow = plan.stages[0].shadow
    places = [
        PlannedDevice(f"d{n}", "a", n, s, [], [], s if shadow else None) for n, s in enumerate(of)
    ]
    found = two_people.asked(plan, percent, places).stages
    return [number for number, stage in enumerate(found, 1) if stage.asks_another]


def plan_of(*stages: Any, **more: Any) -> Plan:
    return make_plan(
        {"stages": [one if isinstance(one, dict) else {"percent": one} for one in stages]} | more
    )


@pytest.mark.parametrize(
    ("plan", "percent", "opened", "asked"),
    [
        (plan_of(1, 10, 50, 100), 50, (3, 3), [3, 4]),
        (plan_of(1, 10, 50, 100), 100, (3, 3, 4), [4]),
        (plan_of(1, 100), 0.5, (3,), [1, 2]),
        (plan_of(100), 50, (), [1]),
        (plan_of(EVERYBODY, 100), 50, (20,), [1, 2]),  # a tag that all have
        (plan_of(EVERYBODY, 100), 50, (3,), [2]),  # one that some have
        (plan_of(1, 100, judge={"least_devices": 1000}), 50, (20,), [1, 2]),
        (plan_of(1, {"percent": 100, "approval": "the map"}), 50, (3,), [2]),
    ],
)
def test_a_stage_of_so_large_a_share_waits_for_another(
    plan: Plan, percent: float, opened: tuple[int, ...], asked: list[int]
) -> None:
    assert who_is_asked(plan, percent, *opened) == asked


def test_of_a_small_fleet_three_devices_are_canaries_still() -> None:
    assert who_is_asked(plan_of(1, 10, 100), 50, 3, 0, known=4) == [3]


def test_in_shadow_nothing_is_asked_unless_devices_may_go_on_trial() -> None:
    shadow = {"percent": 60, "shadow": True}
    assert who_is_asked(plan_of(shadow, 100, shadow={"time": "1h"}), 50) == [2]
    assert who_is_asked(plan_of(shadow, 100, shadow=ELSE), 50) == [1, 2]
    few = {"tags": ["all"], "shadow": True}
    assert who_is_asked(plan_of(few, 100, shadow=ELSE), 50, 12) == [1, 2]


def test_what_the_plan_says_is_to_be_checked_stays() -> None:
    plan = plan_of({"percent": 100, "approval": "the map"})
    (stage,) = two_people.asked(plan, 50).stages
    assert (stage.approval, stage.approval_by) == ("the map", "another")
    assert two_people.asked(plan, None) == plan


# With a fleet.


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=10)) as made:
        settings = made.home.path / "controller.toml"
        text = settings.read_text()
        line = "another_approves_from_percent = 50\n"
        assert f"# {line}" in text
        settings.write_text(text.replace(f"# {line}", line))
        made.shelve(1)
        yield made


def desk(world: World, name: str) -> Desk:
    return Desk(Home(world.home.path), world.store, Person(name, OPERATOR), lambda: world.now)


def test_nothing_that_who_starts_it_may_do_opens_the_stage(world: World) -> None:
    plan = plan_of({"percent": 100, "approval": True, "soak": "1m"})
    said = calls.Start(model="digits", release="1", plan=plan)
    begun = desk(world, "eve").ask(calls.START, said)
    assert begun.but == [
        "stage 1 waits for the approval of another than who starts it: "
        "rollouts.another_approves_from_percent in controller.toml is 50"
    ]
    world.tick()
    store, now = world.store, world.now
    for act in (
        lambda: control.promote(store, "1", "now", now, "eve", force=True, full=True),
        lambda: control.approve(store, "1", None, "", now, "eve"),
        lambda: rollouts.resume(store, "1", "now", now, "eve"),
    ):
        with pytest.raises(OperatorError):
            act()
    world.tick()
    assert newest(world).stages == []
    control.approve(world.store, "1", None, "seen", world.now, "bob")
    world.tick()
    assert len(newest(world).stages) == 1


def test_who_starts_it_without_a_name_is_refused(world: World) -> None:
    said = calls.Start(model="digits", release="1", plan=plan_of(100))
    with pytest.raises(OperatorError, match="approval_by"):
        desk(world, "").ask(calls.START, said)


def test_dry_run_start_and_lint_say_so(world: World, run: Run, tmp_path: Path) -> None:
    sentence = "stages 3, 4 wait for the approval of another than who starts it"
    start = ("rollout", "start", "digits", "1")
    assert sentence in " ".join(run(*start, "--dry-run").out.split())
    assert run(*start, "--dry-run", "--json").json()["another"].startswith(sentence)
    assert sentence in " ".join(run(*start).out.split())
    file = tmp_path / "plan.toml"
    file.write_text("[[stages]]\npercent = 10\n[[stages]]\npercent = 100\n")
    stages = run("rollout", "lint", "--plan", str(file), "--json").json()
    assert [one["by_another"] for one in stages] == [False, True]
