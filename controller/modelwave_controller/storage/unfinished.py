"""Finds by id the devices of a rollout that have not succeeded: those that answered something else,
and, where a deadline has passed, those without an answer. What they say can be told without going
through those that succeeded, which are most of a fleet.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, case, exists, select, text

from modelwave_controller.rollout import facts, retry
from modelwave_controller.rollout.events import IN_PROGRESS
from modelwave_controller.rollout.facts import Known, Population
from modelwave_controller.rollout.numbers import Number
from modelwave_controller.rollout.slot_sets import numbers_in
from modelwave_controller.rollout.state import Answer, Rollout, Wave
from modelwave_controller.storage.chunks import rows_with
from modelwave_controller.storage.devices import of_model
from modelwave_controller.storage.sampled import some_slots
from modelwave_controller.storage.tables import NO_SUCCESS, answer_counts, answered, devices
from modelwave_controller.storage.waves import BACK, RETURNED, SETTLED, UNSHADOWED
from modelwave_shared.words import DEFERRED, SHADOWED, SUCCEEDED

MAX_LOOKED_AT = 10_000  # devices of a wave without an answer, and answers without success
MAX_NAMED = 1000  # devices of each of these


class Unfinished(NamedTuple):
    """The devices that were found, and how many others have not succeeded, about."""

    known: Known
    more: int


NOBODY_FOUND = Unfinished(Known({}), 0)


class _Found(NamedTuple):
    names: list[str]
    more: int


def read(
    connection: Connection, rollout: Rollout, known: Population, clock: float, also: Iterable[str]
) -> Unfinished:
    """Returns the devices that have not succeeded, those without an answer only where it is too
    late, and the devices `also`. Puts their answers, and no others, into the waves of the rollout,
    which was folded without answers. `clock` is in seconds of the rollout clock."""
    waves = _waves(rollout)
    found = [_troubled(connection, rollout)]
    late = [wave for wave, is_late in retry.waves(rollout, clock) if is_late or rollout.over]
    for number, wave in waves.items():
        if not wave.counted and any(wave is one for one in late):
            found.append(_silent(connection, rollout, known, number, wave))
    names = sorted({*also, *(name for one in found for name in one.names)})
    _note_answers(connection, rollout.id, waves, names)
    return Unfinished(_known(connection, rollout.model, names), sum(one.more for one in found))


def _waves(rollout: Rollout) -> dict[int, Wave]:
    """Returns the waves by the numbers that they have in the table."""
    found: dict[int, Wave | None] = dict(enumerate(rollout.stages))
    found |= {BACK: rollout.back, UNSHADOWED: rollout.unshadowed}
    found[RETURNED if rollout.back else SETTLED] = rollout.settled
    return {number: wave for number, wave in found.items() if wave is not None}


def _troubled(connection: Connection, rollout: Rollout) -> _Found:
    """Returns the devices that have answered something else; last those that are in progress and
    say nothing of what keeps them, as these may be any devices of a wave."""
    its = answered.c
    query = select(its.device, its.outcome, its.later, its.reason)
    query = query.where(its.rollout == rollout.id, text(NO_SUCCESS)).order_by(its.device)
    rows = connection.execute(query.limit(MAX_LOOKED_AT)).all()
    named = [row.device for row in rows if _is_trouble(row.outcome, row.later) or row.reason]
    others = [row.device for row in rows if not (_is_trouble(row.outcome, row.later) or row.reason)]
    number = len(named)
    if len(rows) == MAX_LOOKED_AT:
        number = max(number, _number_of_troubled(connection, rollout))
    return _Found([*named, *others][:MAX_NAMED], number - min(len(named), MAX_NAMED))


def _number_of_troubled(connection: Connection, rollout: Rollout) -> int:
    its = answer_counts.c
    query = select(its.outcome, its.later, its.devices).where(its.rollout == rollout.id)
    return sum(
        number
        for outcome, later, number in connection.execute(query)
        if _is_trouble(outcome, later)
    )


def _is_trouble(outcome: str, later: str) -> bool:
    return (later or outcome) not in ("", SUCCEEDED, SHADOWED, IN_PROGRESS)


def _silent(
    connection: Connection, rollout: Rollout, known: Population, number: int, wave: Wave
) -> _Found:
    """Returns the devices that the wave is for and that have no outcome in it."""
    pending = known.answers(rollout, None if number == BACK else number).pending
    if not pending:
        return _Found([], 0)
    slots: dict[str, set[int]] = defaultdict(set)
    found = []
    for order in wave.orders:
        if order.device:
            found.append(order.device)
        else:
            slots[order.target].update(numbers_in(order.slots))
    its, follows = answered.c, facts.later(rollout)[1 if number == BACK else 0] is not None
    newest = case((its.later != "", its.later), else_=its.outcome) if follows else its.outcome
    ended = exists().where(
        its.device == devices.c.device,
        its.rollout == rollout.id,
        its.wave == number,
        newest.not_in(["", IN_PROGRESS, DEFERRED]),
    )
    query = of_model(select(devices.c.device), rollout.model).where(~ended)
    counts = {
        target: {slot: n for slot, n in known.counts(target).items() if slot in those}
        for target, those in slots.items()
    }
    for target, those in some_slots(counts, MAX_LOOKED_AT).items():
        here = query.where(devices.c.target == target, devices.c.slot.in_(those))
        found += connection.scalars(here.limit(MAX_NAMED))
    return _Found(found[:MAX_NAMED], max(0, pending - min(len(found), MAX_NAMED)))


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
