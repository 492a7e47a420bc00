"""Chooses some devices of a rollout for people to look at, and all of a small one.

They are those of whole slots: a slot is a hash of the device's id, so that nothing about a device
decides whether it is one of them. What it costs does not grow with the fleet.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, select

from modelwave_controller.rollout.events import OrderSent
from modelwave_controller.rollout.slot_sets import contains, numbers_in
from modelwave_controller.rollout.state import Rollout
from modelwave_controller.storage.counted import Counted
from modelwave_controller.storage.devices import of_model
from modelwave_controller.storage.tables import devices

Slots = Mapping[str, Mapping[int, int]]  # {target: {slot: number of devices}}


class Arms(NamedTuple):
    """Devices that the release was opened for, and others of its targets."""

    canaries: list[str]
    controls: list[str]
    is_whole: bool  # they are all


def arms(connection: Connection, rollout: Rollout, most: int) -> Arms:
    """Returns about `most` devices of each arm, of each target its share, at least one slot."""
    counted = Counted(connection, rollout.model)
    orders = [order for wave in rollout.answering for order in wave.orders]
    inside: dict[str, set[int]] = defaultdict(set)
    for order in orders:
        if not order.device:
            inside[order.target].update(numbers_in(order.slots))
    counts = {target: counted.counts(target) for target in sorted(rollout.created.releases)}
    opened, others = (
        {
            target: {s: number for s, number in its.items() if (s in inside[target]) == is_opened}
            for target, its in counts.items()
        }
        for is_opened in (True, False)
    )
    alone = _named(counted, rollout, [order for order in orders if order.device])
    chosen = [some_slots(its, most) for its in (opened, others)]
    canaries, controls = (_devices(connection, rollout.model, its) for its in chosen)
    return Arms(
        sorted(canaries | alone), sorted(controls - alone), chosen == [_all(opened), _all(others)]
    )


def _named(counted: Counted, rollout: Rollout, orders: Iterable[OrderSent]) -> set[str]:
    """Returns the known devices that have one of these orders, which are for one device each."""
    slots = {(order.device, order.target): order.slots for order in orders}
    names = {device for device, _ in slots}
    return {
        device
        for target, slot, device in counted.places(rollout.created.releases.keys(), names)
        if contains(slots.get((device, target), []), slot)
    }


def some_slots(slots: Slots, most: int) -> dict[str, list[int]]:
    """Returns slots that have `most` of the devices together, of each target its share."""
    number = sum(sum(its.values()) for its in slots.values())
    if number <= most:
        return _all(slots)
    found: dict[str, list[int]] = {}
    for target, its in slots.items():
        wanted = most * sum(its.values()) / number
        for slot in sorted(its):
            if wanted > 0:
                found.setdefault(target, []).append(slot)
                wanted -= its[slot]
    return found


def _all(slots: Slots) -> dict[str, list[int]]:
    return {target: sorted(its) for target, its in slots.items() if its}


def _devices(connection: Connection, model: str, slots: Mapping[str, list[int]]) -> set[str]:
    query = of_model(select(devices.c.device), model)
    found: set[str] = set()
    for target, its in slots.items():
        here = (devices.c.target == target, devices.c.slot.in_(its))
        found.update(connection.scalars(query.where(*here)))
    return found
