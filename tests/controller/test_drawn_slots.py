"""Tests rollouts whose slots are drawn at random: their orders, for agents of both formats."""

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rollout_world import (
    FLEET,
    READS_TODAY,
    TARGET,
    Device,
    World,
    newest,
    order_in,
    quick,
    seen,
)
from sqlalchemy import select
from tests.signing import ROOM

from modelwave_agent import checks
from modelwave_agent.case import Case
from modelwave_agent.record import new_record
from modelwave_agent.types import Enrolment
from modelwave_controller.operations import preview, recover, rollouts
from modelwave_controller.operations.rollouts import Request
from modelwave_controller.rollout.draw import circle, drawn
from modelwave_controller.rollout.events import OrderSent
from modelwave_controller.rollout.slot_sets import named_in, numbers_in
from modelwave_controller.rollout.state import ABORTED, FINISHED, REVERTED
from modelwave_controller.service.tick import Ticker
from modelwave_controller.storage import log, tables
from modelwave_shared.limits import MAX_ENVELOPE_BYTES, MAX_SLOT_RANGES, SLOTS
from modelwave_shared.slots import slot
from modelwave_shared.words import ORDER, READS

FIRST_AGENTS = READS_TODAY | {"order": 1}
SEED = 0  # of World.start


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=20)) as made:
        yield made


def place(device: Device) -> int:
    """At which place of the draw the device's slot is."""
    return drawn(SEED).index(slot(FLEET, device.name))


def by_place(world: World) -> list[Device]:
    return sorted(world.devices.values(), key=place)


def has_old_agent(world: World, *devices: Device) -> None:
    for device in devices:
        device.says["reads"] = FIRST_AGENTS
    world.hear(devices)


def ordered(world: World, device: Device) -> dict[str, Any]:
    order = world.ordered(device)
    assert order is not None
    return order


def is_taken(world: World, device: Device, by_first_agent: bool = False) -> bool:
    """Whether an agent takes the message that the controller has for the device."""
    message = world.message_for(device)
    assert message is not None
    enrolment = Enrolment(device.name, TARGET, world.home.root_document)
    case = Case(message, "digits", enrolment, new_record(), lambda: ROOM)

    async def never_wait() -> None:
        pass

    with pytest.MonkeyPatch.context() as first:
        if by_first_agent:
            first.setitem(READS, ORDER, 1)
        try:
            checks.judge(case, never_wait).send(None)
        except StopIteration:
            return True
        except checks.OrderRefused:
            return False
    raise AssertionError("it waits")


def slots_of(orders: Iterable[OrderSent]) -> list[int]:
    return sorted(number for order in orders for number in numbers_in(order.slots))


def run_to_the_end(world: World) -> None:
    for _ in range(6):
        world.tick()
        world.answer("SUCCEEDED", world.devices.values())
    world.tick()


# The orders of a stage.


def test_a_stage_is_one_order_with_a_bitmap(world: World) -> None:
    world.start(1, quick(50, 100))
    world.tick()
    (sent,) = newest(world).stages[0].orders
    opened = by_place(world)[:10]
    assert len(sent.slots) > MAX_SLOT_RANGES
    assert slots_of([sent]) == sorted(drawn(SEED)[: place(opened[-1]) + 1])
    for device in opened:
        order = ordered(world, device)
        assert (order["v"], named_in(order)) == (2, sent.slots)
        assert is_taken(world, device)
        assert not is_taken(world, device, by_first_agent=True)
    run_to_the_end(world)
    assert newest(world).status == FINISHED
    assert "v" not in ordered(world, opened[0])  # the order for all


def test_few_ranges_all_slots_and_single_devices_need_no_bitmap(world: World) -> None:
    first = next(d for n in range(1000) if place(d := Device(f"n{n}")) < MAX_SLOT_RANGES)
    world.devices[first.name] = first
    world.hear([first])
    world.start(1, quick(1, 100))
    world.tick()
    assert "v" not in ordered(world, first)
    run_to_the_end(world)
    assert "v" not in ordered(world, first)
    rollouts.retry(world.store, "1", [first.name], ["SUCCEEDED"], "", world.now)
    world.tick()
    assert "v" not in ordered(world, first)
    assert is_taken(world, first, by_first_agent=True)


def test_the_longest_order_fits_into_an_envelope(tmp_path: Path) -> None:
    with closing(World(tmp_path, devices=20)) as world:
        world.issuer.urls[:] = [f"http://127.0.0.1:{n}/".ljust(200, "x") for n in (1, 2, 3, 4)]  # type: ignore[index]
        world.start(1, quick(50, 100))
        world.tick()
        message = world.message_for(by_place(world)[0])
        assert message is not None
        assert len(message.split(b"\n")[0]) <= MAX_ENVELOPE_BYTES
        assert order_in(message)["v"] == 2


# Agents that read only ranges.


def test_where_a_known_device_reads_only_ranges_its_stage_is_ordered_by_ranges(
    world: World,
) -> None:
    old = by_place(world)[1]
    has_old_agent(world, old)
    world.start(1, quick(50, 100))
    world.tick()
    orders = newest(world).stages[0].orders
    opened = by_place(world)[:10]
    assert len(orders) > 1
    assert slots_of(orders) == sorted(drawn(SEED)[: place(opened[-1]) + 1])
    for device in opened:
        order = ordered(world, device)
        assert "v" not in order
        assert len(order["slots"]) <= MAX_SLOT_RANGES
        assert is_taken(world, device, by_first_agent=True)
    run_to_the_end(world)
    assert newest(world).status == FINISHED


def test_it_changes_nothing_for_stages_and_targets_that_it_is_not_in(world: World) -> None:
    boards = world.add(20, "rp2040")
    has_old_agent(world, *by_place(world)[-1:], *boards)
    last = by_place(world)[-1]
    assert last.target == "rp2040"
    world.start(1, quick(50, 100), targets=(TARGET, "rp2040"))
    world.tick()
    orders = newest(world).stages[0].orders
    assert sum(order.target == TARGET for order in orders) == 1
    assert sum(order.target == "rp2040" for order in orders) > 1


def test_the_way_back_is_ordered_so_that_all_can_read_it(world: World) -> None:
    first = by_place(world)[0]
    world.start(1, quick(100))
    run_to_the_end(world)
    world.start(2, quick(50, 100))
    world.tick()
    assert ordered(world, first)["v"] == 2
    has_old_agent(world, first)  # somebody has put the older agent back
    world.answer("ROLLED_BACK", by_place(world)[:10])
    world.tick()
    back = newest(world).back
    assert back is not None
    assert len(back.orders) > 1
    assert is_taken(world, first, by_first_agent=True)
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    assert newest(world).status == REVERTED


def test_orders_that_are_signed_anew_past_a_floor_have_the_form_that_is_read(world: World) -> None:
    world.start(1, quick(50, 100))
    world.tick()
    first, second = by_place(world)[:2]
    before = ordered(world, first)
    for old, v in (((), 2), ((second,), None)):
        has_old_agent(world, *old)
        floor = recover.recover(world.store, "digits", 0, ordered(world, first)["seq"] + 10, 0.0)
        world.tick()
        order = ordered(world, first)
        assert order["seq"] > floor
        assert order.get("v") == v
        assert all(is_taken(world, device) for device in by_place(world)[:10])
    assert is_taken(world, second, by_first_agent=True)
    assert before["manifest"] == ordered(world, first)["manifest"]


# Devices that turn up later.


def newcomer(world: World, reads: dict[str, int], opened: bool = True) -> Device:
    """A device that was not known, in a slot of the first half or of the second."""
    half = place(by_place(world)[9])
    names = (f"d{number}" for number in range(100, 1000))
    device = next(
        device
        for name in names
        if name not in world.devices and (place(device := Device(name)) < half) == opened
    )
    device.says["reads"] = reads
    world.devices[device.name] = device
    world.hear([device])
    return device


def test_a_newcomer_in_an_open_slot_gets_the_bytes_of_the_stage(world: World) -> None:
    world.start(1, quick(50, 100))
    world.tick()
    late = newcomer(world, READS_TODAY)
    world.tick()
    assert world.message_for(late) == world.message_for(by_place(world)[0])
    assert is_taken(world, late)


def test_a_newcomer_with_an_old_agent_in_an_open_slot_gets_an_order_of_its_own(
    world: World,
) -> None:
    world.start(1, quick(50, 100))
    world.tick()
    late = newcomer(world, FIRST_AGENTS)
    world.tick()
    order = ordered(world, late)
    assert (order["device"], "v" in order) == (late.name, False)
    assert is_taken(world, late, by_first_agent=True)
    assert topics_of(world, late) == [f"device/{late.name}/digits"]
    world.tick()
    assert ordered(world, late) == order
    world.answer("SUCCEEDED", [late])
    (stage,) = newest(world).stages
    assert stage.answers[late.name].outcome == "SUCCEEDED"
    run_to_the_end(world)
    assert newest(world).status == FINISHED
    assert seen(world).problems == []


def topics_of(world: World, device: Device) -> list[str]:
    """The ends of the topics for this device, or its slot, that hold an order."""
    query = select(tables.outbox.c.topic).where(tables.outbox.c.blob.is_not(None))
    with world.store.read() as connection:
        ends = [topic.split("desired/")[-1] for topic in connection.scalars(query)]
    mine = (f"device/{device.name}/digits", f"{TARGET}/digits/{slot(FLEET, device.name)}")
    return [end for end in ends if end in mine]


def test_it_gets_one_too_after_the_rollout_was_aborted_and_the_service_started_anew(
    world: World,
) -> None:
    world.start(1, quick(50, 100))
    world.tick()
    rollouts.abort(world.store, "1", "", world.now)
    late = newcomer(world, FIRST_AGENTS)
    world.ticker = Ticker(world.store, world.issuer)
    world.tick()
    assert ordered(world, late)["device"] == late.name
    assert newest(world).status == ABORTED
    world.answer("SUCCEEDED", [late])
    world.ticker = Ticker(world.store, world.issuer)
    world.tick()
    assert late.name in newest(world).stages[0].answers


def test_it_gets_none_in_a_slot_that_is_not_open(world: World) -> None:
    world.start(1, quick(50, 100))
    world.tick()
    late = newcomer(world, FIRST_AGENTS, opened=False)
    world.tick()
    assert world.ordered(late) is None
    run_to_the_end(world)
    assert newest(world).status == FINISHED
    assert "device" not in ordered(world, late)


def test_it_waits_while_the_numbers_of_orders_are_in_doubt(world: World) -> None:
    world.start(1, quick(50, 100))
    world.tick()
    late = newcomer(world, FIRST_AGENTS)
    recover.note_restored(world.store, world.now)
    world.tick()
    assert topics_of(world, late) == []
    recover.recover(world.store, "digits", 0, None, world.now)
    world.tick()
    assert is_taken(world, late, by_first_agent=True)


def test_it_waits_while_the_clock_is_in_doubt_and_an_update_of_its_agent_ends_that(
    world: World,
) -> None:
    world.start(1, quick(50, 100))
    world.tick()
    world.jump(-1000)
    late, updated = newcomer(world, FIRST_AGENTS), newcomer(world, FIRST_AGENTS)
    world.tick()
    assert topics_of(world, late) == topics_of(world, updated) == []
    updated.says["reads"] = READS_TODAY
    world.hear([updated])
    world.tick()
    its_slot = [f"{TARGET}/digits/{slot(FLEET, updated.name)}"]
    assert topics_of(world, updated) == its_slot
    world.jump(1000)
    world.tick()
    assert topics_of(world, late) == [f"device/{late.name}/digits"]
    assert topics_of(world, updated) == its_slot


# The seed.


def test_a_dry_run_says_whom_the_start_with_its_seed_asks(world: World) -> None:
    request = Request("digits", world.release(1), (), quick(10, 50, 100), 7)
    with world.store.read() as connection:
        created = rollouts.propose(connection, log.under_way(connection), request)
        places = preview.preview(connection, created, request.releases)
    rollouts.start(world.store, request, world.now)
    for number in range(3):
        world.tick()
        asked = {name for name, device in world.devices.items() if world.ordered(device)}
        assert asked == {one.device for one in places if one.stage <= number}
        world.answer("SUCCEEDED", world.devices.values())
    assert created.drawn == drawn(7) == newest(world).created.drawn


def test_a_rollout_of_before_there_were_seeds_goes_on_in_its_circle(world: World) -> None:
    start = 990
    number = world.start(1, quick(10, 50, 100))
    query = select(tables.events.c.body).where(tables.events.c.rollout == number)
    with world.store.write() as connection:
        body = json.loads(connection.execute(query).scalar_one())
        del body["seed"]
        body["start_slot"] = start
        connection.execute(tables.events.update().values(body=json.dumps(body)))
    width = 0
    for _ in range(3):
        world.ticker = Ticker(world.store, world.issuer)  # as after a restart
        world.tick()
        opened = slots_of(newest(world).stages[-1].orders)
        assert opened == sorted(circle(start)[width : width + len(opened)])
        assert len(newest(world).stages[-1].orders) == 1
        width += len(opened)
        world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    assert (newest(world).status, width) == (FINISHED, SLOTS)


def test_stages_only_add_slots_also_when_devices_come_between_them(world: World) -> None:
    world.start(1, quick(10, 50, 100))
    width = 0
    for number in range(3):
        world.tick()
        opened = slots_of(newest(world).stages[-1].orders)
        assert opened == sorted(drawn(SEED)[width : width + len(opened)])
        width += len(opened)
        world.answer("SUCCEEDED", world.devices.values())
        world.add(5 * (2 - number))
        world.tick()
        world.answer("SUCCEEDED", world.devices.values())
    assert width == SLOTS
