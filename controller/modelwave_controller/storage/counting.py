"""Keeps the counters: each event that is appended to the log, and each device that begins or ceases
to report a model, changes them in the same transaction. So they are as true as the log, and to read
them costs nothing (counted.py).

`heads` has the newest event that is counted, and the version of the rules. If these are not the
log's newest event and VERSION, the counters are computed anew (recounting.py).
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, literal_column, select, update

from modelwave_controller.rollout.events import (
    REPORTED,
    Event,
    NotUnderstood,
    Opened,
    OpenedPart,
    Reordered,
    Reported,
    Reverted,
    Unshadowed,
    load_event,
)
from modelwave_controller.storage import sums, waves
from modelwave_controller.storage.answered import Answered
from modelwave_controller.storage.chunks import chunks
from modelwave_controller.storage.tables import (
    answer_counts,
    answered,
    events,
    heads,
    reporting,
    unread_answers,
)

VERSION = 1  # of the rules and the outcomes; a change of them counts everything anew


class Place(NamedTuple):
    """Where a device counts: its target and slot, and what it reads, as in `devices`."""

    target: str
    slot: int
    reads: str


class Move(NamedTuple):
    """A device that reports a model from another place than before; None: not at all."""

    device: str
    model: str
    before: Place | None
    after: Place | None


def count(connection: Connection, added: Sequence[Event]) -> None:
    """Counts events that were just appended; those before must be counted."""
    for (rollout, answers), group in groupby(added, key=_kind):
        if answers:
            _count_answers(connection, rollout, [*group])
            continue
        for event in group:
            _count_orders(connection, event)
    if added:
        note(connection, added[-1].id, added[0].id - 1)


def note(connection: Connection, newest: int, after: int) -> None:
    """Notes that the events up to `newest` are counted, if those up to `after` were."""
    its = (heads.c.name == "counted") & (heads.c.value == after)
    connection.execute(update(heads).where(its).values(value=newest))


def move(connection: Connection, moves: Sequence[Move]) -> None:
    """Counts devices that report models from other places than before. The tables of devices must
    have their new places."""
    deltas: Counter[tuple[str, str, int, str]] = Counter()
    elsewhere: dict[str, set[str]] = defaultdict(set)  # {model: devices}
    for one in moves:
        for place, number in ((one.before, -1), (one.after, 1)):
            if place is not None:
                deltas[one.model, *place] += number
        if (one.before and one.before[:2]) != (one.after and one.after[:2]):
            elsewhere[one.model].add(one.device)
    sums.add(connection, reporting, deltas)
    for model, names in elsewhere.items():
        for rollout, its in _rollouts_of(connection, sorted(names)).items():
            if model_of(connection, rollout) == model:
                Answered(connection, rollout, model, its).store()


def drop_answers(connection: Connection, rollouts: Sequence[int]) -> None:
    """Deletes what is kept of the answers to these rollouts, going through all that is kept: their
    counts are in the log."""
    for chunk in chunks(rollouts):
        for table in (answered, answer_counts):
            connection.execute(delete(table).where(table.c.rollout.in_(chunk)))


def drop_counts(connection: Connection, rollout: int) -> None:
    connection.execute(delete(answer_counts).where(answer_counts.c.rollout == rollout))


def drop_answers_of(connection: Connection, rollout: int, names: Sequence[str]) -> None:
    for chunk in chunks(names):
        its = (answered.c.rollout == rollout, answered.c.device.in_(chunk))
        connection.execute(delete(answered).where(*its))


def drop_rest(connection: Connection, rollout: int) -> None:
    """Deletes what is kept of a rollout to which the log has no answers any more: the rows of
    devices that were sent an order of their own and have not answered it, and counts."""
    drop_answers_of(connection, rollout, waves.named(connection, rollout))
    drop_counts(connection, rollout)


def model_of(connection: Connection, rollout: int) -> str:
    """Returns the model of a rollout, or ""."""
    query = select(events.c.id, events.c.rollout, events.c.at, events.c.kind, events.c.body)
    query = query.where(events.c.rollout == rollout, events.c.kind == "created").limit(1)
    row = connection.execute(query).first()
    return "" if row is None else getattr(load_event(*row).body, "model", "")


def _kind(event: Event) -> tuple[int, bool]:
    return event.rollout, isinstance(event.body, Reported)


def _count_answers(connection: Connection, rollout: int, given: Sequence[Event]) -> None:
    bodies = [
        (event.body.number, event.body) for event in given if isinstance(event.body, Reported)
    ]
    its = waves.of_numbers(connection, rollout, {number for number, _ in bodies})
    names = {body.device for number, body in bodies if number in its}
    if not names:
        return
    rows = Answered(connection, rollout, model_of(connection, rollout), names)
    for number, body in bodies:
        if number in its:
            rows.answer(its[number], number, body)
    rows.store()


def _count_orders(connection: Connection, event: Event) -> None:
    rollout, body = event.rollout, event.body
    match body:
        case Opened():
            waves.note(connection, rollout, body.stage, body.orders, opens=True)
        case OpenedPart():
            waves.note(connection, rollout, body.stage, body.orders, opens=True)
            names = _outside(connection, rollout, body.stage)
            Answered(connection, rollout, model_of(connection, rollout), names).store()
        case Reverted():
            waves.note(connection, rollout, waves.BACK, body.orders, opens=True)
        case Unshadowed():
            waves.note(connection, rollout, waves.UNSHADOWED, body.orders, opens=False)
        case Reordered():
            _reorder(connection, event, body)
        case NotUnderstood(kind=kind) if kind == REPORTED:
            connection.execute(insert(unread_answers).values(event=event.id))


def _reorder(connection: Connection, event: Event, body: Reordered) -> None:
    rollout = event.rollout
    is_back = waves.has_event(connection, rollout, "reverted", event.id)
    settled = waves.RETURNED if is_back else waves.SETTLED
    wave = waves.BACK if body.stage is None else body.stage
    if body.settled:
        ended = waves.has_event(connection, rollout, "unshadowed", event.id)
        wave = waves.UNSHADOWED if ended else settled
    waves.note(connection, rollout, wave, body.orders, opens=False)
    alone = {order.device: order.number for order in body.orders if order.device}
    if not alone:
        return
    rows = Answered(connection, rollout, model_of(connection, rollout), alone)
    both = {wave, settled} if waves.has_orders(connection, rollout, settled) else {wave}
    for device, number in alone.items():
        for one in both:
            rows.await_answer(one, device, number)
    rows.store()


def _outside(connection: Connection, rollout: int, wave: int) -> list[str]:
    """Returns the devices that have answered the wave and that it is not for, so far."""
    its = answered.c
    query = select(its.device).where(its.rollout == rollout, its.wave == wave)
    return [*connection.scalars(query.where(its.inside == literal_column("0")))]


def _rollouts_of(connection: Connection, names: Sequence[str]) -> dict[int, list[str]]:
    """Returns, by rollout, those of the devices that have answered it."""
    found: dict[int, list[str]] = defaultdict(list)
    query = select(answered.c.rollout, answered.c.device).distinct()
    for chunk in chunks(names):
        for rollout, device in connection.execute(query.where(answered.c.device.in_(chunk))):
            found[rollout].append(device)
    return found
