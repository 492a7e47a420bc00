"""The waves of a rollout, as the counters name them: a stage by its number, from 0, and the others
by negative ones. `wave_orders` has the order numbers of each, from the log."""

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, insert, select, tuple_

from modelwave_controller.rollout.events import OrderSent
from modelwave_controller.rollout.numbers import Number
from modelwave_controller.rollout.slot_sets import numbers_in
from modelwave_controller.storage.chunks import chunks
from modelwave_controller.storage.tables import events, wave_orders

BACK = -1  # the revert
SETTLED = -2  # the orders for all that followed the stages
RETURNED = -3  # those that followed the revert
UNSHADOWED = -4


class Target(NamedTuple):
    """A device's target and slot."""

    target: str
    slot: int


class Waves:
    """Whom the waves of a rollout are for: its stages and its revert."""

    def __init__(self, connection: Connection, rollout: int) -> None:
        self._slots: dict[int, dict[str, set[int]]] = {}  # by wave and target
        self._devices: dict[int, set[tuple[str, str, int]]] = {}
        self._at: dict[Target, set[int]] = {}
        self.numbers: set[int] = set()
        its = wave_orders.c
        query = select(its.wave, its.target, its.slots, its.device)
        query = query.where(its.rollout == rollout, its.opens, its.wave >= BACK)
        for wave, target, text, device in connection.execute(query):
            slots = numbers_in(json.loads(text))
            self.numbers.add(wave)
            if device:
                named = self._devices.setdefault(wave, set())
                named.update((device, target, slot) for slot in slots)
            else:
                self._slots.setdefault(wave, {}).setdefault(target, set()).update(slots)

    def of(self, device: str, place: Target | None) -> set[int]:
        """Returns the waves that are for a device in this place; None: it is not known."""
        if place is None:
            return set()
        if place not in self._at:
            target, slot = place
            self._at[place] = {w for w, its in self._slots.items() if slot in its.get(target, ())}
        if not self._devices:
            return self._at[place]
        named = (device, *place)
        return self._at[place] | {wave for wave, its in self._devices.items() if named in its}


def note(
    connection: Connection, rollout: int, wave: int, orders: Sequence[OrderSent], opens: bool
) -> None:
    """Notes that the answers to these orders count for the wave."""
    rows = [
        {
            "rollout": rollout,
            "epoch": order.epoch,
            "seq": order.seq,
            "wave": wave,
            "opens": opens,
            "target": order.target,
            "slots": json.dumps(order.slots),
            "device": order.device,
        }
        for order in orders
    ]
    if rows:
        connection.execute(insert(wave_orders), rows)


def of_numbers(
    connection: Connection, rollout: int, numbers: Iterable[Number]
) -> dict[Number, int]:
    """Returns the waves of these orders of the rollout."""
    its = wave_orders.c
    query = select(its.epoch, its.seq, its.wave).where(its.rollout == rollout)
    return {
        Number(row.epoch, row.seq): row.wave
        for chunk in chunks(sorted(numbers))
        for row in connection.execute(query.where(tuple_(its.epoch, its.seq).in_(chunk)))
    }


def has_orders(connection: Connection, rollout: int, wave: int) -> bool:
    query = select(wave_orders.c.seq).where(wave_orders.c.rollout == rollout)
    return connection.execute(query.where(wave_orders.c.wave == wave).limit(1)).first() is not None


def named(connection: Connection, rollout: int) -> list[str]:
    """Returns the devices that had an order of their own in the rollout."""
    its = wave_orders.c
    query = select(its.device).where(its.rollout == rollout, its.device != "").distinct()
    return [*connection.scalars(query.order_by(its.device))]


def has_event(connection: Connection, rollout: int, kind: str, until: int) -> bool:
    """Returns whether the rollout's log has such an event, up to the one with the id `until`."""
    query = select(events.c.id).where(events.c.kind == kind, events.c.rollout == rollout)
    return connection.execute(query.where(events.c.id <= until).limit(1)).first() is not None
