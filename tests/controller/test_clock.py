"""The rollout clock, and the doubt about the wall clock."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rollout_world import World, newest, quick, seen
from sqlalchemy import select, update

from modelwave_controller import cli
from modelwave_controller.operations import rollouts
from modelwave_controller.rollout.clock import GAP_SECONDS, Reading, advanced
from modelwave_controller.rollout.state import HELD, REVERTED, RUNNING
from modelwave_controller.service.tick import Ticker
from modelwave_controller.storage import clock, tables

NOON = 1_800_000_000.0
HOUR, DAY, YEAR = 3600.0, 86400.0, 365 * 86400.0
LAST = Reading(100.0, NOON)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=4)) as made:
        yield made


def seconds(world: World) -> float:
    with world.store.read() as connection:
        return clock.stored(connection).seconds


# The rules.


def test_it_advances_with_the_steady_clock() -> None:
    assert advanced(LAST, NOON + 5, 5.0) == Reading(105.0, NOON + 5)


@pytest.mark.parametrize("jump", [-240.0, -4.0, 4.0, HOUR])
def test_a_small_correction_of_the_wall_clock_is_followed(jump: float) -> None:
    assert advanced(LAST, NOON + 5 + jump, 5.0) == Reading(105.0, NOON + 5 + jump)


@pytest.mark.parametrize(
    ("jump", "doubt"),
    [
        (-301.0, "the clock is 6 min behind the newest tick or event"),
        (-YEAR, "the clock is 365 d behind the newest tick or event"),
        (HOUR + 1, "the clock is 61 min ahead of the last tick of a service"),
        (12 * YEAR, "the clock is 4380 d ahead of the last tick of a service"),
    ],
)
def test_a_jump_makes_the_wall_clock_doubtful_and_the_other_goes_on(
    jump: float, doubt: str
) -> None:
    found = advanced(LAST, NOON + 5 + jump, 5.0)
    assert found == Reading(105.0, NOON + 5, doubt)
    assert advanced(found, NOON + 10 + jump, 5.0) == Reading(110.0, NOON + 10, doubt)
    assert advanced(found, NOON + 11, 5.0) == Reading(110.0, NOON + 11)  # it is right again


@pytest.mark.parametrize(("gap", "counts"), [(-3.0, 0.0), (60.0, 60.0), (8 * HOUR, GAP_SECONDS)])
def test_a_long_gap_between_two_ticks_counts_a_minute(gap: float, counts: float) -> None:
    found = advanced(LAST, NOON + max(0.0, gap), gap)
    assert found == Reading(100.0 + counts, NOON + max(0.0, gap))


def test_time_without_a_service_does_not_count_and_is_no_doubt() -> None:
    assert advanced(LAST, NOON + 29 * DAY, None) == Reading(100.0, NOON + 29 * DAY)


@pytest.mark.parametrize("wall", [NOON - 301, NOON + 31 * DAY])
def test_a_clock_that_is_far_off_at_the_start_is_doubtful(wall: float) -> None:
    assert advanced(LAST, wall, None).doubt


def test_a_restart_does_not_end_a_doubt() -> None:
    doubted = advanced(LAST, NOON + 5 + 2 * HOUR, 5.0)
    assert doubted.doubt
    assert advanced(doubted, NOON + 15 + 2 * HOUR, None).doubt


def test_a_clock_behind_the_newest_event_is_doubtful_until_it_is_past_it() -> None:
    found = advanced(Reading(0.0, 0.0), NOON, None, newest=NOON + HOUR)
    assert found == Reading(0.0, 0.0, "the clock is 60 min behind the newest tick or event")
    assert advanced(found, NOON + 30 * 60, 30 * 60.0, newest=NOON + HOUR).doubt
    assert not advanced(found, NOON + HOUR, HOUR, newest=NOON + HOUR).doubt


def test_the_first_service_of_all_has_nothing_to_doubt() -> None:
    assert advanced(Reading(0.0, 0.0), NOON, None) == Reading(0.0, NOON)
    assert advanced(Reading(0.0, 0.0), NOON, None, newest=NOON - YEAR) == Reading(0.0, NOON)


# In rollouts.


def test_a_jump_ends_no_soak_and_makes_nobody_silent(world: World) -> None:
    world.start(1, quick(50, 100, stage={"soak_seconds": 90}))
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    world.jump(2 * HOUR)
    world.now += 50
    world.tick()
    assert (newest(world).status, len(newest(world).stages)) == (RUNNING, 1)
    assert seen(world).next == "stage 2 (100 %) opens in 40 s"


@pytest.mark.parametrize("jump", [-2 * HOUR, 2 * DAY])
def test_a_jump_makes_no_deadline_pass(world: World, jump: float) -> None:
    world.start(1, quick(100))
    world.tick()
    world.jump(jump)
    world.now += 99
    world.tick()
    assert newest(world).status == RUNNING
    world.now += 1
    world.tick()
    assert newest(world).status == HELD


def test_time_in_which_no_service_ran_is_no_soak(world: World) -> None:
    world.start(1, quick(50, 100, stage={"soak_seconds": 90}))
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    world.now += 50
    world.tick()
    before = seconds(world)
    world.now += DAY
    restart(world)
    world.tick()
    assert seconds(world) == before
    assert seen(world).next == "stage 2 (100 %) opens in 40 s"


def restart(world: World) -> None:
    world.ticker = Ticker(world.store, world.issuer)
    world._ticked = None


def test_events_that_were_written_under_a_doubtful_clock_do_not_prolong_the_doubt(
    world: World,
) -> None:
    world.start(1, quick(50, 100))
    world.tick()
    world.jump(12 * YEAR)
    world.answer("SUCCEEDED", world.devices.values())  # before the next tick
    world.tick()
    rollouts.pause(world.store, "1", "", world.now)
    rollouts.resume(world.store, "1", "", world.now)
    world.jump(-12 * YEAR)
    restart(world)
    world.tick()
    assert len(newest(world).stages) == 2


@pytest.mark.parametrize("jump", [12 * YEAR, -HOUR])
def test_under_a_doubtful_clock_no_order_is_signed(world: World, jump: float) -> None:
    world.tick()
    world.start(1, quick(100))
    world.jump(jump)
    world.tick()
    found = seen(world)
    assert (found.status, len(newest(world).stages)) == ("NEW", 0)
    assert found.why.startswith("the clock is ")
    assert "modelwave clock accept REASON" in found.next
    restart(world)
    world.tick()
    assert len(newest(world).stages) == 0
    world.jump(-jump)
    world.tick()
    assert len(newest(world).stages) == 1


def test_under_a_doubtful_clock_nothing_is_reverted_and_then_it_is(world: World) -> None:
    world.start(1, quick(100))
    world.tick()
    world.jump(2 * HOUR)
    world.answer("ROLLED_BACK", world.devices.values())
    world.tick()
    assert newest(world).status == RUNNING
    assert "4 of 4 devices rolled back" in seen(world).why
    rollouts.revert(world.store, "1", "it is bad", world.now)
    world.tick()
    assert seen(world).why.endswith("; it is bad")
    with world.store.write() as connection:
        clock.accept(connection, world.now, "the hypervisor stood still")
    world.tick()
    assert newest(world).status == REVERTED


def test_a_fail_is_final_also_if_it_comes_while_the_clock_is_in_doubt(world: World) -> None:
    world.start(1, quick(100))
    world.tick()
    world.jump(2 * HOUR)
    world.answer("ROLLED_BACK", world.devices.values())
    world.tick()
    assert newest(world).stages[0].verdict == "FAIL"
    world.answer("SUCCEEDED", world.devices.values())
    world.jump(-2 * HOUR)
    world.tick()
    assert newest(world).status == REVERTED


def test_fleet_status_says_that_the_clock_is_in_doubt(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(world, "fleet", "status") == 0
    assert "clock" not in capsys.readouterr().out
    world.tick()
    world.jump(2 * HOUR)
    world.tick()
    assert run(world, "fleet", "status") == 0
    said = capsys.readouterr().out
    assert "the clock is 2 h ahead of the last tick of a service: no order is signed" in said


def test_a_clock_that_was_accepted_is_believed_though_newer_events_say_otherwise(
    world: World,
) -> None:
    world.start(1, quick(100))
    world.tick()
    world.jump(-12 * YEAR)  # it was ahead all the time
    world.tick()
    with world.store.write() as connection:
        clock.accept(connection, world.now, "it was wrong until now")
    restart(world)
    world.tick()
    with world.store.read() as connection:
        assert clock.stored(connection).doubt == ""


def test_events_that_were_written_without_a_service_count_at_its_start(world: World) -> None:
    world.tick()
    world.jump(2 * HOUR)
    world.start(1, quick(100))
    world.jump(-2 * HOUR)
    restart(world)
    world.tick()
    assert seen(world).why.startswith("the clock is 2 h behind the newest tick or event")
    world.hear(world.devices.values())
    rollouts.pause(world.store, "1", "", world.now)  # an event that is no proof
    rollouts.resume(world.store, "1", "", world.now)
    restart(world)
    world.tick()
    assert seen(world).why.startswith("the clock is 2 h behind the newest tick or event")
    world.now += 2 * HOUR
    world.tick()
    assert len(newest(world).stages) == 1


def test_a_service_that_is_killed_loses_seconds_of_a_soak_at_most(world: World) -> None:
    world.tick()
    world.now += 30
    world.tick()
    world.now += clock.STORED_SECONDS - 1
    world.tick()
    restart(world)
    world.tick()
    assert seconds(world) == 30


def test_what_goes_wrong_is_logged_once_and_when_it_is_over(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    world.tick()
    world.jump(2 * HOUR)
    for _ in range(3):
        world.now += 30
        world.tick()
    world.jump(-2 * HOUR)
    world.tick()
    told = [record.getMessage() for record in caplog.records]
    assert [text.split(":")[0] for text in told] == [
        "the clock is 2 h ahead of the last tick of a service",
        "the clock is right again, or was accepted",
    ]


# The commands.


def run(world: World, *arguments: str) -> int:
    return cli.run(["--home", str(world.home.path), *arguments])


def test_the_operator_accepts_the_clock_with_a_reason(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    with world.store.write() as connection:
        connection.execute(update(tables.clock).values(doubt="the clock is 2 h ahead"))
    assert run(world, "clock", "show") == 0
    assert "the clock is 2 h ahead" in capsys.readouterr().out
    assert run(world, "clock", "accept", "the host slept") == 0
    assert run(world, "clock", "show") == 0
    said = capsys.readouterr().out
    assert "the host slept" in said
    assert "2 h ahead" not in said
    with world.store.read() as connection:
        assert connection.scalar(select(tables.clock.c.accepts)) == 1


@pytest.mark.parametrize("reason", ["", "x" * 201, "two\nlines", "\x1b[2J"])
def test_a_clock_is_not_accepted_without_a_line_of_text(
    world: World, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(world, "clock", "accept", reason) == 2
    assert "REASON" in capsys.readouterr().err
    with world.store.read() as connection:
        assert clock.stored(connection).accepts == 0
