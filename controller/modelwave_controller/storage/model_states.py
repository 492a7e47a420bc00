"""Stores what devices report of each model, and appends their answers to orders to the log, one
event for each change."""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, tuple_

from modelwave_controller.rollout.events import FLEET, Body
from modelwave_controller.rollout.events import Replaced as ReplacedEvent
from modelwave_controller.rollout.events import Reported as ReportedEvent
from modelwave_controller.storage import counting, log
from modelwave_controller.storage.answers import (
    MAX_WENT_ON,
    GivenOrder,
    answer,
    says_nothing_new,
    went_on,
)
from modelwave_controller.storage.changes import update_rows
from modelwave_controller.storage.chunks import chunks, rows_with
from modelwave_controller.storage.counting import Move, Place
from modelwave_controller.storage.devices import reads_column
from modelwave_controller.storage.messages import ReportMessage
from modelwave_controller.storage.tables import device_models, orders
from modelwave_controller.trust.documents import ModelState, Report
from modelwave_shared.slots import slot as slot_of
from modelwave_shared.words import SUCCEEDED

_STATE = tuple(f.name for f in fields(ModelState))
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


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
    before: dict[tuple[str, str], dict[str, Any]] = {
        (row.device, row.model): row._asdict()
        for row in rows_with(connection, select(device_models), device_models.c.device, list(fresh))
    }
    after: dict[tuple[str, str], dict[str, Any]] = {
        (device, model): _model_row(device, model, state, before.get((device, model)))
        for device, report in fresh.items()
        for model, state in report.models.items()
    }
    gone = [key for key in before if key not in after]
    changed = [key for key, row in after.items() if before.get(key) != row]
    if gone:
        connection.execute(
            delete(device_models)
            .where(device_models.c.device == bindparam("its_device"))
            .where(device_models.c.model == bindparam("its_model")),
            [{"its_device": device, "its_model": model} for device, model in gone],
        )
    states = [(device, model, fresh[device].models[model]) for device, model in changed]
    given = _orders(connection, {(model, state.epoch, state.seq) for _, model, state in states})
    entries: list[tuple[int, Body]] = [
        (FLEET, ReplacedEvent(device=device, models=models))
        for device, models in _lost(before, after, replaced).items()
    ]
    for device, model, state in states:
        order = given.get((model, state.epoch, state.seq))
        old = before.get((device, model))
        if order and not (old and _says_the_same(old, state)):
            target, slot = fresh[device].target, _slot(fleet, device, places)
            found, row = answer(order, device, target, slot, state), after[device, model]
            if found and not says_nothing_new(order, row["proved"], found[0], state):
                outcome, reason = found
                refused = old["outcome"] if old and _is_of(old, state) else ""
                row["went_on"] = went_on(row["went_on"], refused, outcome)
                if row["went_on"] > MAX_WENT_ON:
                    continue
                row["proved"] = order.manifest if outcome == SUCCEEDED else ""
                body = ReportedEvent(
                    device=device,
                    seq=order.seq,
                    outcome=outcome,
                    reason=reason,
                    epoch=order.epoch,
                )
                entries.append((order.rollout, body))
    new = [after[key] for key in changed if key not in before]
    if new:
        connection.execute(insert(device_models), new)
    differ = [
        {
            name: value
            for name, value in after[key].items()
            if name in ("device", "model") or before[key][name] != value
        }
        for key in changed
        if key in before
    ]
    update_rows(connection, device_models, differ, "device", "model")
    counting.move(connection, _moves(fleet, fresh, places, before, after))
    log.append_all(connection, now, entries)


def with_its_models(
    connection: Connection, same: dict[str, ReportMessage]
) -> dict[str, ReportMessage]:
    """Returns the reports that say of each model what is stored."""
    stored: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in rows_with(connection, select(device_models), device_models.c.device, list(same)):
        values = row._asdict()
        stored[row.device][row.model] = {name: values[name] for name in _STATE}
    return {
        device: message
        for device, message in same.items()
        if stored.get(device, {})
        == {model: _fields(state) for model, state in message.report.models.items()}
    }


def _moves(
    fleet: str,
    fresh: dict[str, Report],
    places: Mapping[str, Place],
    before: Collection[tuple[str, str]],
    after: Collection[tuple[str, str]],
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
    before: dict[tuple[str, str], dict[str, Any]],
    after: dict[tuple[str, str], dict[str, Any]],
    replaced: Collection[str],
) -> dict[str, list[str]]:
    """Returns the models of the replaced devices of which another release is live now, or none."""
    found: dict[str, list[str]] = {}
    for (device, model), row in sorted(before.items()):
        runs = after.get((device, model), {}).get("sha256", "")
        if device in replaced and row["sha256"] not in ("", runs):
            found.setdefault(device, []).append(model)
    return found


def _model_row(
    device: str, model: str, state: ModelState, before: dict[str, Any] | None
) -> dict[str, Any]:
    proved = before["proved"] if before and before["proved"] == state.sha256 else ""
    times = before["went_on"] if before and _is_of(before, state) else 0
    kept = {"proved": proved, "went_on": times}
    return {"device": device, "model": model, **kept, **_fields(state)}


def _is_of(row: dict[str, Any], state: ModelState) -> bool:
    """Returns whether both are of the same order."""
    return (row["epoch"], row["seq"]) == (state.epoch, state.seq)


def _fields(state: ModelState) -> dict[str, Any]:
    return {name: getattr(state, name) for name in _STATE}


def _says_the_same(old: dict[str, Any], state: ModelState) -> bool:
    """Returns whether an answer says the same as the one before. Numbers in its reason do not
    count: the same refusal has other free bytes each time."""
    fields = ("epoch", "seq", "outcome", "sha256")
    same = all(old[field] == getattr(state, field) for field in fields)
    return same and _NUMBER.sub("0", old["reason"]) == _NUMBER.sub("0", state.reason)


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
