"""Tests stages that open in parts, so many devices a minute."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollout_world import FLEET, World, newest, quick, seen
from sqlalchemy import func, select

from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import acts, rollouts
from modelwave_controller.rollout.pace import PART_SECONDS, Part, Place, first_part
from modelwave_controller.rollout.plan import Plan, make_plan
from modelwave_controller.service.tick import Ticker
from modelwave_controller.storage import tables
from modelwave_shared.words import ORDER, READS, WRITES

DEVICES = 40
RATE = 12  # a minute: 2 in PART_SECONDS


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=DEVICES)) as made:
        made.shelve(1)
        yield made


def slow(*percents: float, rate: int = RATE) -> Plan:
    return quick(*(percents or (100,)), devices_per_minute=rate)


def opened(world: World) -> list[str]:
    return [name for name, device in world.devices.items() if world.ordered(device)]


def pass_time(world: World, seconds: float) -> list[int]:
    """Ticks each second; returns how many devices were opened after each."""
    found: list[int] = []
    last = -1
    for _ in range(round(seconds)):
        world.now += 1
        world.tick()
        now = signed(world)
        found.append(found[-1] if now == last else len(opened(world)))
        last = now
    return found


def signed(world: World) -> int:
    """The number of orders that were signed so far."""
    with world.store.read() as connection:
        return connection.scalar(select(func.count()).select_from(tables.orders)) or 0


def most_in_a_minute(numbers: Sequence[int]) -> int:
    return max(later - first for first, later in zip(numbers, numbers[60:], strict=False))


def test_a_stage_opens_so_many_devices_a_minute_and_no_more(world: World) -> None:
    world.start(1, slow())
    world.tick()
    numbers = [len(opened(world)), *pass_time(world, 230)]
    assert 1 <= numbers[0] <= 3
    assert most_in_a_minute(numbers) <= RATE + 1  # a slot more
    assert numbers[-1] == DEVICES
    assert numbers[60] >= RATE - 2


def test_the_status_says_how_far_it_is_and_how_long_it_takes(world: World) -> None:
    world.start(1, slow(50, 100))
    world.tick()
    found = seen(world)
    first = len(opened(world))
    assert found.why == (
        f"stage 1 (50 %): opening: {first} of 20 devices, 12 a minute, "
        f"{5 * (20 - first)} s left; 0 of 20 devices succeeded, 20 without an answer yet"
    )
    assert found.next == f"its next part opens in {5 * first} s"
    row = found.rows[0]
    assert (row.devices, row.to_open, row.gate) == (first, 20 - first, "opening")


def test_soak_and_deadline_begin_when_the_broker_has_the_last_part(world: World) -> None:
    world.start(1, slow(50, 100))
    world.tick()
    pass_time(world, 60)
    assert newest(world).stages[0].waiting_since is None
    pass_time(world, 60)
    world.acknowledges = False
    stage = newest(world).stages[0]
    assert stage.rest is None
    assert stage.waiting_since is not None
    assert seen(world).rows[0].devices == 20


def test_after_an_outage_of_the_service_nothing_that_was_missed_is_made_up_for(
    world: World,
) -> None:
    world.start(1, slow())
    world.tick()
    before = len(opened(world))
    killed(world, away=3600)
    numbers = [before, *pass_time(world, 60)]
    assert most_in_a_minute(numbers) <= RATE + 1


def test_a_service_that_is_killed_between_two_parts_goes_on_where_it_was(world: World) -> None:
    world.start(1, slow())
    world.tick()
    for _ in range(60):
        pass_time(world, 7)
        killed(world)
    assert len(opened(world)) == DEVICES
    orders = newest(world).stages[0].orders
    slots = [slot for o in orders for first, last in o.slots for slot in range(first, last + 1)]
    assert sorted(slots) == list(range(1000))
    assert len({order.seq for order in orders}) == len(orders) > DEVICES / 3


def killed(world: World, away: float = 0) -> None:
    """A new process goes on with the database, after so many seconds without one."""
    world.now += away
    world._ticked = world.steady
    world.ticker = Ticker(world.store, world.issuer)
    world.tick()


def test_after_an_outage_of_the_broker_nothing_that_was_missed_is_made_up_for(
    world: World,
) -> None:
    world.acknowledges = False
    world.start(1, slow())
    world.tick()
    first = len(opened(world))
    assert pass_time(world, 200)[-1] == first
    world.acknowledges = True
    numbers = pass_time(world, 61)
    assert most_in_a_minute([first, *numbers]) <= RATE + 1


def test_a_fail_during_a_part_stops_the_rest_at_once_and_reverts_what_was_opened(
    world: World,
) -> None:
    world.start(1, quick(100, devices_per_minute=1000))
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    assert newest(world).status == "FINISHED"
    world.start(2, slow())
    world.tick()
    pass_time(world, 30)
    before = [name for name in world.devices if runs(world, name) == 2]
    assert 2 < len(before) < DEVICES
    world.answer("ROLLED_BACK", [world.devices[name] for name in before[:3]])
    world.tick()
    rollout = newest(world)
    assert rollout.status == "REVERTING"
    assert rollout.back is not None
    assert sum(order.known for order in rollout.back.orders) == len(before)
    pass_time(world, 60)
    assert [name for name in world.devices if runs(world, name) == 2] == []


def runs(world: World, name: str) -> int:
    order = world.ordered(world.devices[name])
    by_manifest = {world.release(number)["linux-cpu"].digest: number for number in (1, 2)}
    return by_manifest[order["manifest"]] if order else 0


def test_a_share_that_holds_a_stage_is_a_share_of_all_its_devices(world: World) -> None:
    world.start(1, slow())
    world.tick()
    world.answer("REJECTED", [world.devices[opened(world)[0]]])
    pass_time(world, 20)
    assert newest(world).status == "RUNNING"  # 1 of 40, the limit is 10 %
    world.answer("REJECTED", [world.devices[name] for name in opened(world)[:6]])
    world.tick()
    held = len(opened(world))
    assert seen(world).status == "HELD"
    assert pass_time(world, 30)[-1] == held


def test_it_goes_on_by_itself_when_the_cause_of_a_hold_is_gone(world: World) -> None:
    world.start(1, slow())
    world.tick()
    pass_time(world, 20)
    failing = [world.devices[name] for name in opened(world)[:5]]
    world.answer("FAILED", failing)
    world.tick()
    assert newest(world).status == "HELD"
    world.answer("SUCCEEDED", failing)
    world.tick()
    assert newest(world).status == "RUNNING"
    assert pass_time(world, 240)[-1] == DEVICES


def test_a_pause_stops_further_parts_and_a_resume_goes_on(world: World) -> None:
    world.start(1, slow())
    world.tick()
    pass_time(world, 20)
    rollouts.pause(world.store, "1", "lunch", world.now)
    before = len(opened(world))
    assert pass_time(world, 120)[-1] == before
    assert seen(world).next == "no further part opens until `modelwave rollout resume 1`"
    rollouts.resume(world.store, "1", "", world.now)
    numbers = pass_time(world, 240)
    assert most_in_a_minute([before, *numbers]) <= RATE + 1
    assert numbers[-1] == DEVICES


def test_no_part_opens_while_a_device_in_it_cannot_read_its_order(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.start(1, slow())
    world.tick()
    newer = READS[ORDER] + 1
    monkeypatch.setitem(READS, ORDER, newer)
    monkeypatch.setitem(WRITES, ORDER, newer)
    before = len(opened(world))
    assert pass_time(world, 60)[-1] == before
    assert newest(world).status == "HELD"
    assert "cannot read it" in seen(world).why
    for device in world.devices.values():
        device.says["reads"] = {"order": newer}
    world.hear(world.devices.values())
    assert pass_time(world, 240)[-1] == DEVICES


def test_named_devices_are_opened_at_this_pace_too(world: World) -> None:
    names = [f"d{number}" for number in range(12)]
    settings = {"devices": names, "soak_seconds": 0, "deadline_seconds": 100}
    stages = [settings, {"percent": 100, "soak_seconds": 0, "deadline_seconds": 100}]
    plan = make_plan({"stages": stages, "trial": {"seconds": 1}, "devices_per_minute": RATE})
    world.start(1, plan)
    world.tick()
    first = opened(world)
    assert 1 <= len(first) <= 3
    with world.store.write() as connection:
        acts.forget(connection, FLEET, "d11", world.now)
    pass_time(world, 59)
    assert seen(world).warnings == [
        "stage 1 (12 devices): left out, as not known when it opened: d11"
    ]
    assert set(opened(world)) == set(names[:-1])


def test_a_device_that_joins_while_a_stage_opens_is_part_of_it(world: World) -> None:
    world.start(1, slow())
    world.tick()
    world.add(5)
    numbers = pass_time(world, 260)
    assert numbers[-1] == DEVICES + 5
    assert newest(world).stages[0].rest is None


@pytest.mark.parametrize("rate", [0, -1, 2.5, 10**7, "200"])
def test_a_rate_that_is_none_is_refused(rate: object) -> None:
    with pytest.raises(OperatorError, match="devices_per_minute"):
        make_plan({"devices_per_minute": rate})


def test_a_stage_has_its_own_rate_in_place_of_the_plans() -> None:
    stages = [{"percent": 1, "devices_per_minute": 5}, {"percent": 100}]
    made = make_plan({"stages": stages, "devices_per_minute": 200})
    assert [made.rate_of(number) for number in (0, 1)] == [5, 200]


PLACES = st.dictionaries(
    st.sampled_from(["a", "b", "c"]), st.lists(st.integers(0, 12), min_size=1, max_size=40)
)


@given(PLACES, st.integers(1, 3000))
def test_parts_open_each_place_once_evenly_and_at_the_pace(
    counts: dict[str, list[int]], rate: int
) -> None:
    left = {
        target: [Place(target, slot, number) for slot, number in enumerate(numbers)]
        for target, numbers in counts.items()
    }
    every = sum(sum(numbers) for numbers in counts.values())
    done, due, moments = 0, 0.0, []
    while any(left.values()):
        part = first_part(left, rate)
        assert part.places
        for target, places in left.items():
            mine = [place for place in part.places if place.target == target]
            assert mine == places[: len(mine)]
            left[target] = places[len(mine) :]
        done += part.devices
        assert part.left == every - done
        moments.append((due, part.devices))
        rest = part.rest(rate, due)
        if rest is None:
            break
        assert rest.due - due >= PART_SECONDS - 1e-6 or part.devices * 60 / rate >= PART_SECONDS
        due = rest.due
    assert done == every
    assert not any(left.values())
    for start, _ in moments:
        inside = [number for at, number in moments if start <= at < start + 60 - 1e-6]
        assert sum(inside) <= rate + rate * PART_SECONDS / 60 + 12


def test_without_a_rate_all_opens_at_once() -> None:
    places = {"a": [Place("a", 1, 500)], "b": [Place("b", 2, 700)]}
    assert first_part(places, None) == Part([places["a"][0], places["b"][0]])
