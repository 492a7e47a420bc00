"""Tests rollouts that begin at a time of the wall clock."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rollout_commands import Run
from rollout_world import World, newest, quick, seen

from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import control, rollouts
from modelwave_controller.operations.rollouts import Request
from modelwave_controller.operations.starting import MAX_START_SECONDS, start_at
from modelwave_controller.phrases import moment
from modelwave_controller.rollout.plan import Plan
from modelwave_controller.rollout.state import ABORTED, FINISHED, NEW, PAUSED, RUNNING
from modelwave_controller.service.tick import Ticker

NOW = 1_800_000_000.0  # 2027-01-15 08:00:00 UTC
HOUR, DAY = 3600, 86400


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=10)) as made:
        yield made


def begin(world: World, seconds: float, plan: Plan | None = None) -> float:
    """A rollout that begins in so many seconds."""
    at = world.now + seconds
    request = Request("digits", world.release(1), (), plan or quick(), 0, start_at=at)
    rollouts.start(world.store, request, world.now)
    world.tick()
    return at


def opened(world: World) -> int:
    return len(newest(world).stages)


def test_no_stage_opens_before_the_start_time_and_the_status_says_when(
    world: World, run: Run
) -> None:
    at = begin(world, 11 * HOUR)
    found = seen(world)
    assert (found.status, found.why) == (NEW, "it waits for its start time")
    assert found.next == (
        f"stage 1 (10 %) opens at {moment(at)}, in 11 h; `modelwave rollout promote 1` begins it "
        "at once, `modelwave rollout abort 1` ends it"
    )
    world.now = at - 1
    world.tick()
    assert opened(world) == 0
    world.now = at
    world.tick()
    assert (opened(world), newest(world).status) == (1, RUNNING)
    assert f", to begin at {moment(at)}" in run("rollout", "log").out
    for _ in range(4):
        world.answer("SUCCEEDED", world.devices.values())
        world.tick()
    assert newest(world).status == FINISHED


def test_programs_read_until_when_it_waits(world: World, run: Run) -> None:
    at = begin(world, DAY)
    waits = run("rollout", "status", "--json").json()["waits"]
    assert (waits["what"], waits["until"]) == ("start", at)
    assert waits["command"] == "modelwave rollout promote 1"


def test_a_jump_of_the_wall_clock_does_not_begin_it(world: World) -> None:
    at = begin(world, 2 * HOUR)
    world.jump(3 * DAY)
    world.tick()
    assert (opened(world), newest(world).status) == (0, NEW)
    found = seen(world)
    assert found.why.startswith("the clock is 3 d ahead of the last tick of a service; it waits")
    assert f"opens at {moment(at)}, in 2 h;" in found.next
    world.jump(-3 * DAY)
    world.tick()
    assert opened(world) == 0
    world.now = at
    world.tick()
    assert opened(world) == 1


def test_a_clock_that_is_in_doubt_at_the_start_time_opens_nothing_until_it_is_right(
    world: World,
) -> None:
    begin(world, HOUR)
    world.jump(-2 * HOUR)
    world.now += 2 * HOUR
    world.tick()
    assert opened(world) == 0
    assert "modelwave clock accept REASON" in seen(world).next
    world.jump(2 * HOUR)
    world.tick()
    assert opened(world) == 1


def test_a_service_that_was_stopped_at_the_start_time_begins_it_when_it_runs(world: World) -> None:
    at = begin(world, HOUR)
    world.ticker = Ticker(world.store, world.issuer)
    world.now, world._ticked = at + DAY, None
    world.tick()
    assert opened(world) == 1


def test_a_promotion_begins_it_at_once_and_skips_nothing_else(world: World, run: Run) -> None:
    begin(world, 11 * HOUR, quick(50, 100, stage={"soak_seconds": 50}))
    _, skipped = control.promote(world.store, None, "they are ready", world.now, "eve@desk")
    assert skipped == "11 h until its start time"
    world.tick()
    assert opened(world) == 1
    log = run("rollout", "log").out
    assert "eve@desk" in log
    assert "begins at once, before its start time: they are ready" in log
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    assert seen(world).next == "stage 2 (100 %) opens in 50 s"


def test_a_full_promotion_does_not_begin_it(world: World) -> None:
    begin(world, HOUR)
    with pytest.raises(OperatorError, match=r"has opened no stage yet.*rollout promote 1`"):
        control.promote(world.store, None, "", world.now, full=True)


def test_while_it_waits_it_is_paused_resumed_and_aborted(world: World) -> None:
    at = begin(world, HOUR)
    rollouts.pause(world.store, "1", "night", world.now)
    assert newest(world).status == PAUSED
    rollouts.resume(world.store, "1", "", world.now)
    world.tick()
    assert (opened(world), newest(world).status) == (0, NEW)
    rollouts.abort(world.store, "1", "rain", world.now)
    world.now = at
    world.tick()
    assert (opened(world), newest(world).status) == (0, ABORTED)


def test_it_waits_for_approval_and_for_its_start_time(world: World) -> None:
    plan = quick(100)
    [stage] = plan.stages
    plan = plan.model_copy(update={"stages": (stage.model_copy(update={"approval": True}),)})
    at = begin(world, HOUR, plan)
    assert "waits for approval" in seen(world).why
    control.approve(world.store, None, None, "", world.now)
    world.tick()
    assert seen(world).why == "it waits for its start time"
    world.now = at
    world.tick()
    assert opened(world) == 1


@pytest.mark.parametrize(
    ("at", "seconds"),
    [
        ("2027-01-15T08:00:00Z", 0),
        ("2027-01-15T09:00+01:00", 0),
        ("2027-01-16 08:00:00+00:00", DAY),
        ("2028-01-15T08:00:00Z", MAX_START_SECONDS),
    ],
)
def test_a_moment_is_read_with_its_offset(at: str, seconds: int) -> None:
    assert start_at(at, None, NOW) == NOW + seconds


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (
            ("tonight", None),
            "--at: 'tonight' is no moment; give one such as 2026-11-30T02:00+01:00",
        ),
        (("2027-01-15T08:00", None), "--at: '2027-01-15T08:00' has no offset from UTC"),
        (("2027-01-15", None), "has no offset from UTC"),
        (("2027-01-15T07:59:59Z", None), "has passed, it is "),
        (("2028-01-15T08:00:01Z", None), "--at: .* is more than a year away"),
        ((None, MAX_START_SECONDS + 1), "--in: .* is more than a year away"),
        (("2027-01-16T08:00Z", 60), "--at: give it or --in, not both"),
        (("9" * 5000, None), "is no moment"),
    ],
)
def test_a_wrong_start_time_is_refused_with_what_to_give(given: Any, problem: str) -> None:
    with pytest.raises(OperatorError, match=problem.replace("+", r"\+")):
        start_at(*given, NOW)


def test_the_command_line_takes_a_moment_or_a_duration(world: World, run: Run) -> None:
    world.shelve(1)
    ran = run("rollout", "start", "digits", "1", "--at", "2020-01-01T00:00Z")
    assert (ran.code, "has passed" in ran.err) == (2, True)
    at = datetime.now(UTC).replace(microsecond=0).timestamp() + DAY
    text = datetime.fromtimestamp(at, UTC).isoformat()
    dry = run("rollout", "start", "digits", "1", "--in", "2h", "--dry-run")
    assert "rollout start digits 1 --in 2h --seed" in dry.out
    assert run("rollout", "start", "digits", "1", "--at", text).code == 0
    assert newest(world).created.start_at == at
    assert run("rollout", "abort", "1").code == 0
    assert run("rollout", "start", "digits", "1", "--in", "2h").code == 0
    assert (newest(world).created.start_at or 0) > at - DAY
