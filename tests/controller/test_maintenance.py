"""Tests maintenance windows: their arithmetic, the plans that have them, and rollouts that wait for
them."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rollout_world import READS_TODAY, World, newest, quick, seen

from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import linted, rollouts
from modelwave_controller.rollout.maintenance import Maintenance, parse_window
from modelwave_controller.rollout.plan import Plan, make_plan
from modelwave_shared import local_time
from modelwave_shared.local_time import minute_of_week
from modelwave_shared.maintenance import (
    LENGTHS,
    MAX_RANGES,
    READS_MAINTENANCE,
    STARTS,
    WEEK,
    Windows,
    in_extra,
    of_extra,
)

BERLIN = ZoneInfo("Europe/Berlin")
HOUR, DAY = 3600, 86400
NIGHT = "mon-sun 01:00-04:00"


def at(text: str, zone: Any = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def told(moment: float, zone: Any = BERLIN) -> str:
    return datetime.fromtimestamp(moment, UTC).astimezone(zone).strftime("%a %H:%M")


def opens(window: str, moment: float, zone: Any = BERLIN) -> float:
    windows = Windows(parse_window(window))
    return windows.opens_at(moment, lambda now: minute_of_week(now, zone))


# The arithmetic.

RANGES = st.lists(
    st.tuples(st.integers(0, WEEK - 1), st.integers(1, 2000)), min_size=1, max_size=MAX_RANGES
)


def minutes_of(ranges: list[tuple[int, int]]) -> set[int]:
    return {(start + step) % WEEK for start, length in ranges for step in range(length)}


@example([(10, 5)], 15)
@given(RANGES, st.integers(0, WEEK - 1))
def test_the_wait_is_that_to_the_next_minute_in_a_range(
    ranges: list[tuple[int, int]], minute: int
) -> None:
    inside = minutes_of(ranges)
    wait = Windows(ranges).wait(minute)
    assert (minute + wait) % WEEK in inside
    assert not {(minute + step) % WEEK for step in range(wait)} & inside


@settings(max_examples=30)
@given(RANGES)
def test_no_wait_is_longer_than_the_longest(ranges: list[tuple[int, int]]) -> None:
    windows = Windows(ranges)
    inside = minutes_of(ranges)
    longest, run = 0, 0
    for step in range(2 * WEEK):
        run = 0 if step % WEEK in inside else run + 1
        longest = max(longest, run)
    assert windows.longest_wait() == longest if len(inside) < WEEK else longest == 0


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, WEEK - 1), st.integers(1, 400)), min_size=1, max_size=4),
    st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "America/New_York", "Asia/Kolkata"]),
    st.datetimes(datetime(2026, 1, 1), datetime(2028, 12, 31)),
)
def test_it_opens_at_the_first_minute_that_the_local_clock_shows_in_a_range(
    ranges: list[tuple[int, int]], name: str, start: datetime
) -> None:
    zone, inside = ZoneInfo(name), minutes_of(ranges)
    now = start.replace(tzinfo=UTC).timestamp() // 60 * 60
    found = Windows(ranges).opens_at(now, lambda moment: minute_of_week(moment, zone))
    expected = now
    while minute_of_week(expected, zone) not in inside:
        expected += 60
    assert found == expected


@given(RANGES)
def test_a_device_reads_the_windows_that_an_order_has(ranges: list[tuple[int, int]]) -> None:
    extra = in_extra(Windows(ranges))
    found = of_extra(extra[STARTS], extra[LENGTHS])
    assert found is not None
    assert minutes_of(found.ranges) == minutes_of(ranges)


@pytest.mark.parametrize(
    ("window", "now", "then"),
    [
        ("mon-fri 01:00-04:00", "2026-11-28 12:00", "2026-11-30 01:00"),  # a weekend
        ("fri 23:00-02:00", "2026-11-28 01:59", "2026-11-28 01:59"),  # over midnight
        ("fri 23:00-02:00", "2026-11-28 02:00", "2026-12-04 23:00"),
        ("sun 23:00-02:00", "2026-11-30 00:30", "2026-11-30 00:30"),  # over the week's end
        ("sat-mon 10:00-11:00", "2026-11-24 12:00", "2026-11-28 10:00"),
        ("tue 00:00-24:00", "2028-02-28 23:00", "2028-02-29 00:00"),  # a leap day
        ("sun 05:00-05:30", "2026-03-28 12:00", "2026-03-29 05:00"),  # 23 hours
        ("sun 02:15-02:45", "2026-03-28 12:00", "2026-04-05 02:15"),  # it is left out
        ("sun 05:00-05:30", "2026-10-24 12:00", "2026-10-25 05:00"),  # 25 hours
    ],
)
def test_windows_over_midnight_weekends_and_changes_of_the_clock(
    window: str, now: str, then: str
) -> None:
    assert told(opens(window, at(now))) == told(at(then))
    assert opens(window, at(now)) == at(then)


def test_a_window_in_the_hour_that_comes_twice_comes_twice() -> None:
    first = opens("sun 02:15-02:45", at("2026-10-24 12:00"))
    assert told(first) == "Sun 02:15"
    again = opens("sun 02:15-02:45", first + 30 * 60)
    assert (told(again), again - first) == ("Sun 02:15", HOUR)


def test_windows_that_touch_are_put_together() -> None:
    made = Maintenance(windows=("sat,sun 00:00-24:00", "mon 00:00-02:00", "sat 05:00-06:00"))
    assert made.week.ranges == [(5 * 1440, 2 * 1440 + 120)]


def test_window_over_the_end_of_the_week_goes_on_at_its_begin() -> None:
    made = Maintenance(windows=("sun 23:00-02:00",))
    assert made.week.ranges == [(6 * 1440 + 1380, 180)]


# Plans.


@pytest.mark.parametrize(
    ("windows", "problem"),
    [
        ([], "fewer entries"),
        (["01:00-04:00"], "give days and times"),
        (["mon 1:00-4:00"], "give days and times"),
        (["mun 01:00-04:00"], "'mun' is no day"),
        (["mon-fir 01:00-04:00"], "'fir' is no day"),
        (["mon 01:00-01:00"], "ends when it begins"),
        (["mon 24:00-01:00"], "ends when it begins"),
        (["mon 01:60-02:00"], "01:60 is no time"),
        (["mon 01:00-24:01"], "24:01 is no time"),
        (["mon-sun 00:00-24:00"], "the whole week is open"),
        (["mon-sun 01:00-02:00", "mon-sun 03:00-04:00", "mon 05:00-06:00"], "15 windows a week"),
        (["mon 01:00-04:00"] * 15, "more than 14 entries"),
        ([7], "maintenance.windows.0: give a text"),
        (["m" * 65], "more than 64 characters"),
    ],
)
def test_windows_that_are_none_are_refused(windows: list[Any], problem: str) -> None:
    with pytest.raises(OperatorError, match=problem) as error:
        make_plan({"maintenance": {"windows": windows}})
    assert "maintenance.windows" in str(error.value)


@pytest.mark.parametrize("name", ["Europe/Bärlin", "../etc/passwd", "Europe", "", "x" * 65])
def test_a_time_zone_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(OperatorError, match=r"maintenance\.timezone"):
        make_plan({"maintenance": {"windows": [NIGHT], "timezone": name}})


def test_a_deadline_within_which_no_window_may_come_is_refused_with_the_figure() -> None:
    weekdays = {"maintenance": {"windows": ["mon-fri 01:00-04:00"], "timezone": "Europe/Berlin"}}
    with pytest.raises(OperatorError) as error:
        make_plan(weekdays)
    assert str(error.value) == (
        "plan: stages.0.deadline: 24 h, but a device may wait for a maintenance window and be on "
        "trial for 71 h (a change of daylight saving time adds an hour, or leaves a short window "
        "out); give a longer deadline, or more or longer windows (stages.0 is "
        "stage 1)"
    )
    stages = [{"percent": 100, "deadline": "3d"}]
    assert make_plan(weekdays | {"stages": stages}).maintenance is not None
    made = make_plan({"maintenance": {"windows": [NIGHT]}})  # 21 hours to the next one
    assert made.maintenance is not None
    assert made.maintenance.longest_wait_seconds == 22 * HOUR


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Europe/Berlin", "2026-03-28"),
        ("America/New_York", "2026-03-07"),
        ("America/Nuuk", "2026-03-27"),
    ],
)
@pytest.mark.parametrize("days", ["mon-sun", "sat,sun", "sun", "sat"])
@pytest.mark.parametrize("times", ["02:30-02:45", "02:00-03:00", "22:15-22:20", "01:30-03:30"])
def test_a_window_that_a_change_of_the_clock_leaves_out_is_within_the_longest_wait(
    zone: str, day: str, days: str, times: str
) -> None:
    made = Maintenance(windows=(f"{days} {times}",), timezone=zone)
    start = at(f"{day}T00:00", ZoneInfo(zone))
    for half_hour in range(3 * 24 * 2):
        moment = start + half_hour * HOUR / 2
        waits = local_time.opens_at(made.week, moment, ZoneInfo(zone)) - moment
        assert waits <= made.longest_wait_seconds


def test_lint_says_the_windows() -> None:
    made = make_plan({"maintenance": {"windows": [NIGHT]}})
    assert linted.linted(made)[0].opens == (
        "all at once; with devices that do not judge maintenance windows only in "
        "mon-sun 01:00-04:00 (UTC)"
    )


# Rollouts.


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=10)) as made:
        made.shelve(1)
        made.now = at("2026-11-30 12:00")
        yield made


def nightly(*percents: float, **changes: Any) -> Plan:
    stage = {"deadline_seconds": 2 * DAY, "soak_seconds": changes.pop("soak", 0)}
    windows = {"windows": [NIGHT], "timezone": "Europe/Berlin"}
    return quick(*(percents or (50, 100)), stage=stage, maintenance=windows, **changes)


def judge_themselves(world: World, *names: str) -> None:
    devices = [world.devices[name] for name in names or world.devices]
    for device in devices:
        device.says["reads"] = READS_TODAY | {READS_MAINTENANCE: 1}
    world.hear(devices)


def opened(world: World) -> int:
    return sum(1 for device in world.devices.values() if world.ordered(device))


def an_order(world: World) -> dict[str, Any]:
    orders = [order for d in world.devices.values() if (order := world.ordered(d))]
    return max(orders, key=lambda order: int(order["seq"]))


def sleep_until(world: World, text: str) -> None:
    """The machine sleeps until then, and the service goes on."""
    world.now = at(text)
    world._ticked = world.steady
    world.tick()


def test_a_stage_with_devices_that_do_not_judge_them_opens_inside_the_windows(
    world: World,
) -> None:
    world.start(1, nightly())
    world.tick()
    found = seen(world)
    assert opened(world) == 0
    assert found.why == (
        "stage 1 (50 %): outside of its maintenance windows; opens at Tue 2026-12-01 01:00 +0100, "
        "in 13 h"
    )
    assert found.next == "stage 1 (50 %) opens by itself then; `modelwave rollout abort 1` ends it"
    sleep_until(world, "2026-12-01 00:59")
    assert opened(world) == 0
    sleep_until(world, "2026-12-01 01:00")
    assert opened(world) == 5
    assert STARTS in an_order(world)["extra"]


def test_a_stage_of_devices_that_judge_them_opens_at_any_time(world: World) -> None:
    judge_themselves(world)
    world.start(1, nightly())
    world.tick()
    assert opened(world) == 5


def test_one_device_that_does_not_judge_them_is_enough_to_wait(world: World) -> None:
    judge_themselves(world, *[f"d{number}" for number in range(9)])
    world.start(1, nightly(100))
    world.tick()
    assert opened(world) == 0


def test_the_next_stage_waits_for_the_next_window(world: World) -> None:
    world.now = at("2026-12-01 01:00")
    world.start(1, nightly())
    world.tick()
    sleep_until(world, "2026-12-01 05:00")
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    found = seen(world)
    assert "opens at Wed 2026-12-02 01:00 +0100" in found.why
    assert found.next.startswith(
        "stage 2 (100 %) opens by itself then; `modelwave rollout revert 1` reverts it"
    )
    sleep_until(world, "2026-12-02 01:00")
    assert opened(world) == 10


def test_parts_of_a_stage_stop_at_the_end_of_a_window_and_go_on_in_the_next(world: World) -> None:
    world.now = at("2026-12-01 03:58")
    world.start(1, nightly(100, devices_per_minute=2))
    world.tick()
    world.now += 90
    world.tick()
    sleep_until(world, "2026-12-01 12:00")
    before = opened(world)
    assert 1 <= before <= 5
    assert "outside of its maintenance windows" in seen(world).why
    assert seen(world).next.startswith("its next part opens by itself then")
    sleep_until(world, "2026-12-02 01:00")
    world.now += 600
    world.tick()
    assert opened(world) == 10


def test_a_revert_waits_for_no_window_and_has_none_in_its_orders(world: World) -> None:
    judge_themselves(world)
    world.start(1, quick(100))
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    world.start(2, nightly())
    world.tick()
    assert STARTS in an_order(world)["extra"]
    for device in world.devices.values():
        device.says.pop("reads")
    world.hear(world.devices.values())
    rollouts.revert(world.store, "2", "it drifts", world.now)
    world.tick()
    assert newest(world).back is not None
    assert "extra" not in an_order(world)


def test_deferred_devices_are_not_silent_and_the_soak_begins_when_they_have_answered(
    world: World,
) -> None:
    judge_themselves(world)
    world.start(1, nightly(soak=HOUR))
    world.tick()
    world.answer("DEFERRED", world.devices.values(), "outside of its maintenance windows")
    sleep_until(world, "2026-12-01 01:00")
    row = seen(world).rows[0]
    assert newest(world).status == "RUNNING"
    assert (row.deferred, row.silent, row.gate) == (5, 0, "pending")
    assert newest(world).stages[0].waiting_since is not None
    assert newest(world).stages[0].soaking_since is None
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    assert newest(world).stages[0].soaking_since is not None
    assert seen(world).rows[0].gate == "soaking"
    assert opened(world) == 5
    world.now += HOUR
    world.tick()
    assert opened(world) == 10


def test_a_clock_in_doubt_opens_nothing_inside_a_window(world: World) -> None:
    world.start(1, nightly())
    world.tick()
    world.jump(14 * HOUR)  # to 02:00 by a clock that is wrong
    world.tick()
    assert opened(world) == 0
    assert "the clock is" in seen(world).why


def test_a_plan_of_a_time_zone_that_this_machine_does_not_know_waits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.start(1, nightly())

    def unknown(_name: str) -> Any:
        raise ValueError("no such zone")

    monkeypatch.setattr(local_time, "zone_of", unknown)
    world.tick()
    assert opened(world) == 0
    assert "as far as can be told: no such zone" in seen(world).why


def test_named_devices_wait_only_for_themselves(world: World) -> None:
    judge_themselves(world, "d1")
    stage = {"soak_seconds": 0, "deadline_seconds": 2 * DAY}
    settings = {"maintenance": {"windows": [NIGHT]}, "trial": {"seconds": 1}}
    stages = [{"devices": ["d1"]} | stage, {"percent": 100} | stage]
    world.start(1, make_plan(settings | {"stages": stages}))
    world.tick()
    assert opened(world) == 1


def test_a_week_has_no_hole_for_the_summer() -> None:
    """The moments at which it opens are a day apart, or an hour more or less at a change."""
    moment, seen_gaps = at("2026-01-01 12:00"), set()
    for _ in range(365):
        then = opens(NIGHT, moment)
        seen_gaps.add(timedelta(seconds=opens(NIGHT, then + 4 * HOUR) - then))
        moment = then + 5 * HOUR
    assert seen_gaps == {timedelta(hours=hours) for hours in (23, 24, 25)}
