"""Finds by id the devices of a rollout that have not succeeded: those that answered something else,
and, where a deadline has passed, those without an answer. What they say can be told without going
through those that succeeded, which are most of a fleet.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from sqlalchemy import Connection, exists, select, text

from modelwave_controller.rollout import retry
from modelwave_controller.rollout.facts import Known
from modelwave_controller.rollout.numbers import Number
from modelwave_controller.rollout.slot_sets import numbers_in
from modelwave_controller.rollout.state import Answer, Rollout, Wave
from modelwave_controller.storage.chunks import rows_with
from modelwave_controller.storage.devices import of_model
from modelwave_controller.storage.tables import NO_SUCCESS, answered, devices
from modelwave_controller.storage.waves import BACK, RETURNED, SETTLED, UNSHADOWED
from modelwave_shared.words import SHADOWED, SUCCEEDED


def read(connection: Connection, rollout: Rollout, clock: float, also: Iterable[str]) -> Known:
    """Returns the devices that have not succeeded, those without an answer only where it is too
    late, and the devices `also`. Puts their answers, and no others, into the waves of the rollout,
    which was folded without answers. `clock` is in seconds of the rollout clock."""
    waves = _waves(rollout)
    names = {*_troubled(connection, rollout), *also}
    late = [wave for wave, is_late in retry.waves(rollout, clock) if is_late or rollout.over]
    for number, wave in waves.items():
        if not wave.counted and any(wave is one for one in late):
            names.update(_silent(connection, rollout, number, wave))
    _note_answers(connection, rollout.id, waves, sorted(names))
    return _known(connection, rollout.model, sorted(names))


def _waves(rollout: Rollout) -> dict[int, Wave]:
    """Returns the waves by the numbers that they have in the table."""
    found: dict[int, Wave | None] = dict(enumerate(rollout.stages))
    found |= {BACK: rollout.back, UNSHADOWED: rollout.unshadowed}
    found[RETURNED if rollout.back else SETTLED] = rollout.settled
    return {number: wave for number, wave in found.items() if wave is not None}


def _troubled(connection: Connection, rollout: Rollout) -> Iterator[str]:
    query = select(answered.c.device).where(answered.c.rollout == rollout.id, text(NO_SUCCESS))
    return iter(connection.scalars(query))


def _silent(connection: Connection, rollout: Rollout, number: int, wave: Wave) -> Iterator[str]:
    """Yields the devices that the wave is for and that have not succeeded in it."""
    slots: dict[str, set[int]] = defaultdict(set)
    for order in wave.orders:
        if order.device:
            yield order.device
        else:
            slots[order.target].update(numbers_in(order.slots))
    its = answered.c
    done = exists().where(
        its.device == devices.c.device,
        its.rollout == rollout.id,
        its.wave == number,
        its.outcome.in_([SUCCEEDED, SHADOWED]),
    )
    query = of_model(select(devices.c.device), rollout.model).where(~done)
    for target, those in slots.items():
        here = query.where(devices.c.target == target, devices.c.slot.in_(sorted(those)))
        yield from connection.scalars(here)


def _note_answers(
    connection: Connection, rollout: int, waves: dict[int, Wave], names: list[str]
) -> None:
    waves = {number: wave for number, wave in waves.items() if not wave.counted}
    for wave in waves.values():
        wave.answers.clear()
    its = answered.c
    query = select(its.device, its.wave, its.outcome, its.reason, its.epoch, its.seq)
    query = query.where(its.rollout == rollout, its.outcome != "").order_by(its.epoch, its.seq)
    for device, number, outcome, reason, *order in rows_with(connection, query, its.device, names):
        if number in waves:
            waves[number].answers[device] = Answer(outcome, reason, Number(*order))


def _known(connection: Connection, model: str, names: list[str]) -> Known:
    found: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    query = of_model(select(devices.c.target, devices.c.slot, devices.c.device), model)
    for target, slot, device in rows_with(connection, query, devices.c.device, names):
        found[target][slot].append(device)
    return Known(found)
