"""Stores what devices report of each model, and appends their answers to orders to the log, one
event for each change."""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import fields
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, tuple_

from modelwave_controller.rollout.events import FLEET, Body
from modelwave_controller.rollout.events import Replaced as ReplacedEvent
from modelwave_controller.rollout.events import Reported as ReportedEvent
from modelwave_controller.storage import counting, log, many
from modelwave_controller.storage.answers import (
    MAX_WENT_ON,
    GivenOrder,
    answer,
    says_nothing_new,
    went_on,
)
from modelwave_controller.storage.changes import update_changed
from modelwave_controller.storage.chunks import chunks, rows_with
from modelwave_controller.storage.counting import Move, Place
from modelwave_controller.storage.devices import reads_column
from modelwave_controller.storage.messages import ReportMessage
from modelwave_controller.storage.tables import device_models, orders
from modelwave_controller.trust.documents import ModelState, Report
from modelwave_shared.slots import slot as slot_of
from modelwave_shared.words import SUCCEEDED

_STATE = tuple(f.name for f in fields(ModelState))
_said = attrgetter(*_STATE)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


class _Row(NamedTuple):
    """A row of `device_models`."""

    device: str
    model: str
    release: int
    sha256: str
    state: str
    epoch: int
    seq: int
    outcome: str
    reason: str
    tries: int
    next_seconds: int
    saved: int
    proved: str
    went_on: int


_ROWS = select(*(device_models.c[name] for name in _Row._fields))
_SAID = slice(2, 2 + len(_STATE))  # of a row: what the device says

Key = tuple[str, str]  # device and model


def take_models(
    connection: Connection,
    fleet: str,
    fresh: dict[str, Report],
    replaced: Collection[str],
    now: float,
    places: Mapping[str, Place],
) -> None:
    """Replaces the rows that changed, and appends their answers to the log, and before them what
    devices that were `replaced` do not run any more. `places` are those of the devices before."""
    before = _stored(connection, list(fresh))
    after = {
        (device, model): _row(device, model, state, before.get((device, model)))
        for device, report in fresh.items()
        for model, state in report.models.items()
    }
    changed = [key for key, row in after.items() if before.get(key) != row]
    entries: list[tuple[int, Body]] = [
        (FLEET, ReplacedEvent(device=device, models=models))
        for device, models in _lost(before, after, replaced).items()
    ]
    given = _orders(connection, {(m, *_number(after[d, m])) for d, m in changed})
    for key in changed:
        device, model = key
        order = given.get((model, *_number(after[key])))
        if order:
            place = fresh[device].target, _slot(fleet, device, places)
            state = fresh[device].models[model]
            after[key], said = _answered(order, place, before.get(key), after[key], state)
            if said:
                entries.append((order.rollout, said))
    _delete(connection, [key for key in before if key not in after])
    new = [after[key] for key in changed if key not in before]
    many.insert(connection, "device_models", _Row._fields, new)
    both = ((before[key], after[key]) for key in changed if key in before)
    update_changed(connection, "device_models", _Row._fields, both, "device", "model")
    counting.move(connection, _moves(fleet, fresh, places, before, after))
    log.append_all(connection, now, entries)


def _answered(
    order: GivenOrder, place: tuple[str, int], old: _Row | None, row: _Row, state: ModelState
) -> tuple[_Row, ReportedEvent | None]:
    """Returns the row after what it answers to the order, and the event of that, if it is one.
    `place`: target and slot of the device; `old`: the row before; `state`: what is new of it."""
    if old and _says_the_same(old, row):
        return row, None
    found = answer(order, row.device, *place, state)
    if not found or says_nothing_new(order, row.proved, found[0], state):
        return row, None
    outcome, reason = found
    refused = old.outcome if old and _number(old) == _number(row) else ""
    times = went_on(row.went_on, refused, outcome)
    if times > MAX_WENT_ON:
        return row._replace(went_on=times), None
    proved = order.manifest if outcome == SUCCEEDED else ""
    if (proved, times) != (row.proved, row.went_on):
        row = row._replace(proved=proved, went_on=times)
    event = ReportedEvent(
        device=row.device, seq=order.seq, outcome=outcome, reason=reason, epoch=order.epoch
    )
    return row, event


def _delete(connection: Connection, gone: list[Key]) -> None:
    if gone:
        its = device_models.c
        connection.execute(
            delete(device_models)
            .where(its.device == bindparam("its_device"))
            .where(its.model == bindparam("its_model")),
            [{"its_device": device, "its_model": model} for device, model in gone],
        )


def _stored(connection: Connection, names: list[str]) -> dict[Key, _Row]:
    rows = rows_with(connection, _ROWS, device_models.c.device, names)
    return {(row[0], row[1]): _Row._make(row) for row in rows}


def with_its_models(
    connection: Connection, same: dict[str, ReportMessage]
) -> dict[str, ReportMessage]:
    """Returns the reports that say of each model what is stored."""
    stored: dict[str, dict[str, tuple[Any, ...]]] = defaultdict(dict)
    for (device, model), row in _stored(connection, list(same)).items():
        stored[device][model] = tuple(row)[_SAID]
    return {
        device: message
        for device, message in same.items()
        if stored.get(device, {})
        == {model: _said(state) for model, state in message.report.models.items()}
    }


def _moves(
    fleet: str,
    fresh: dict[str, Report],
    places: Mapping[str, Place],
    before: Collection[Key],
    after: Collection[Key],
) -> list[Move]:
    """Returns what changes in which devices report which models, and from where; `before` and
    `after` are pairs of both."""
    found = []
    new = {
        device: Place(report.target, _slot(fleet, device, places), reads_column(report))
        for device, report in fresh.items()
    }
    for key in {*before, *after}:
        device, model = key
        was = places.get(device) if key in before else None
        will_be = new[device] if key in after else None
        if was != will_be:
            found.append(Move(device, model, was, will_be))
    return found


def _slot(fleet: str, device: str, places: Mapping[str, Place]) -> int:
    return places[device].slot if device in places else slot_of(fleet, device)


def _lost(
    before: dict[Key, _Row], after: dict[Key, _Row], replaced: Collection[str]
) -> dict[str, list[str]]:
    """Returns the models of the replaced devices of which another release is live now, or none."""
    found: dict[str, list[str]] = {}
    for (device, model), row in sorted(before.items()) if replaced else ():
        now = after.get((device, model))
        if device in replaced and row.sha256 not in ("", now.sha256 if now else ""):
            found.setdefault(device, []).append(model)
    return found


def _row(device: str, model: str, state: ModelState, before: _Row | None) -> _Row:
    proved = before.proved if before and before.proved == state.sha256 else ""
    times = before.went_on if before and _number(before) == (state.epoch, state.seq) else 0
    return _Row._make((device, model, *_said(state), proved, times))


def _number(row: _Row) -> tuple[int, int]:
    """Returns the number of the order that it is of."""
    return row.epoch, row.seq


def _says_the_same(old: _Row, row: _Row) -> bool:
    """Returns whether an answer says the same as the one before. Numbers in its reason do not
    count: the same refusal has other free bytes each time."""
    if (*_number(old), old.outcome, old.sha256) != (*_number(row), row.outcome, row.sha256):
        return False
    return _NUMBER.sub("0", old.reason) == _NUMBER.sub("0", row.reason)


def _orders(
    connection: Connection, wanted: set[tuple[str, int, int]]
) -> dict[tuple[str, int, int], GivenOrder]:
    query = select(
        orders.c.rollout,
        orders.c.model,
        orders.c.seq,
        orders.c.epoch,
        orders.c.target,
        orders.c.manifest,
        orders.c.slots,
        orders.c.device,
        orders.c.quiet,
        orders.c.shadow,
    )
    found = {}
    for chunk in chunks(sorted(wanted)):
        keys = tuple_(orders.c.model, orders.c.epoch, orders.c.seq).in_(chunk)
        for row in connection.execute(query.where(keys)):
            found[row.model, row.epoch, row.seq] = GivenOrder(
                **row._asdict() | {"slots": json.loads(row.slots)}
            )
    return found
