"""Stores the newest state of each device.

`store` stores a batch of messages in one transaction, and appends the answers of reports to
orders to the log, one event for each change. A device is known from its first report on; after
that only a report with a higher (boot, n) changes anything.
"""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, insert, select, tuple_, update

from modelwave_controller.rollout.events import Body
from modelwave_controller.rollout.events import Reported as ReportedEvent
from modelwave_controller.rollout.facts import Known
from modelwave_controller.rollout.formats import Reader
from modelwave_controller.storage import clock, log
from modelwave_controller.storage.answers import GivenOrder, answer, says_nothing_new
from modelwave_controller.storage.chunks import chunks
from modelwave_controller.storage.messages import Bad, Incoming, Present, ReportMessage
from modelwave_controller.storage.tables import (
    bad_messages,
    device_models,
    devices,
    heads,
    metrics,
    orders,
    presence,
    repairs,
)
from modelwave_controller.trust.documents import ModelState, Report
from modelwave_shared.slots import slot as slot_of
from modelwave_shared.words import MANIFEST, ORDER, READS, SIGNER, SUCCEEDED

MAX_STRANGERS = 10_000  # rows of a table for device ids that never reported

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


class RefusalNote(NamedTuple):
    device: str
    target: str
    slot: int
    note: str


class Heard(NamedTuple):
    """What a device reports of one model: its newest order there. `batch` is the number of the
    batch of its last report, `clock` the rollout clock then."""

    batch: int
    device: str
    target: str
    slot: int
    clock: float
    model: str
    epoch: int
    seq: int


class Ignored(NamedTuple):
    """The messages of a device that were ignored so far: "old report" or "unreadable message"."""

    device: str
    what: str
    number: int
    reason: str


def store(
    connection: Connection, fleet: str, incoming: Sequence[Incoming], now: float
) -> list[Ignored]:
    """Stores the devices' messages; `connection` is from Store.write(), `now` in Unix seconds.
    Returns what it ignored."""
    newest = _newest(incoming)
    _take_reports(connection, fleet, newest, now)
    _take_presence(connection, incoming, now)
    return _stale(connection, newest) + _take_bad(connection, incoming, now)


def that_report(connection: Connection, model: str) -> dict[str, dict[int, list[str]]]:
    """Returns {target: {slot: ids of the devices that report the model}}. The query has a row for
    each slot and not for each device, because every tick runs it: 10 ms for 10,000 devices."""
    found: dict[str, dict[int, list[str]]] = defaultdict(dict)
    ids = func.aggregate_strings(devices.c.device, ",")  # no id has a comma
    query = _reporting(select(devices.c.target, devices.c.slot, ids), model)
    for target, slot, names in connection.execute(query.group_by(devices.c.target, devices.c.slot)):
        found[target][slot] = names.split(",")
    return found


def any_has(connection: Connection, targets: Sequence[str], model: str) -> bool:
    """Returns whether a device of one of the targets has reported the model, with or without a
    release of it."""
    query = (
        select(device_models.c.device)
        .join(devices, devices.c.device == device_models.c.device)
        .where(devices.c.target.in_(targets), device_models.c.model == model)
    )
    return connection.execute(query.limit(1)).first() is not None


def known(connection: Connection, model: str) -> Known:
    """Returns the devices that report the model, as the decision about its rollouts needs them."""
    return Known(that_report(connection, model), _behind(connection, model))


def reads(stored: str) -> dict[str, int]:
    """Returns the highest format version of each kind that a device reads, from the column `reads`.
    An agent that does not report it is one of the first, which read version 1 of each."""
    said: dict[str, int] = json.loads(stored) if stored else {}
    return dict.fromkeys(SIGNER, 1) | said


def _reporting(query: Any, model: str) -> Any:
    """Restricts a query of `devices` to those that report the model."""
    joined = query.join(device_models, devices.c.device == device_models.c.device)
    return joined.where(device_models.c.model == model)


def _behind(connection: Connection, model: str) -> list[Reader]:
    """Returns the devices that report the model, and cannot read the newest format of orders and
    manifests that this program knows; it never writes a newer one."""
    old = []
    for stored in connection.scalars(select(devices.c.reads).distinct()):
        found = reads(stored)
        if any(found[kind] < READS[kind] for kind in (MANIFEST, ORDER)):
            old.append(stored)
    query = select(devices.c.device, devices.c.target, devices.c.slot, devices.c.reads)
    query = _reporting(query, model)
    return [
        Reader(row.device, row.target, row.slot, reads(row.reads))
        for row in _rows(connection, query.order_by(devices.c.device), devices.c.reads, old)
    ]


def places(connection: Connection, names: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Returns {device: (target, slot)} of those of the devices that are known."""
    query = select(devices.c.device, devices.c.target, devices.c.slot)
    return {
        device: (target, slot)
        for device, target, slot in _rows(connection, query, devices.c.device, list(names))
    }


def that_run(
    connection: Connection, names: Sequence[str], model: str, targets: Collection[str]
) -> list[str]:
    """Returns those of the devices that are of these targets and report the model."""
    query = _reporting(select(devices.c.device), model).where(devices.c.target.in_(targets))
    return [row.device for row in _rows(connection, query, devices.c.device, list(names))]


def any_lacks(connection: Connection, target: str, model: str, manifest: str) -> bool:
    """Returns whether a device of the target that reports the model does not run this release."""
    query = _reporting(select(devices.c.device), model)
    query = query.where(devices.c.target == target, device_models.c.sha256 != manifest)
    return connection.execute(query.limit(1)).first() is not None


def heard_after(
    connection: Connection, after: tuple[int, str], limit: int
) -> tuple[list[Heard], tuple[int, str]]:
    """Returns what the devices report that were heard after `after` (a batch, and a device in it),
    at most `limit` devices, in that order; and who was the last of them."""
    place = (devices.c.heard, devices.c.device)
    query = select(*place, devices.c.target, devices.c.slot, devices.c.seen_clock)
    query = query.where(tuple_(*place) > after).order_by(*place).limit(limit)
    rows = {row.device: row for row in connection.execute(query)}
    if not rows:
        return [], after
    columns = (device_models.c.model, device_models.c.epoch, device_models.c.seq)
    models = _rows(
        connection, select(device_models.c.device, *columns), device_models.c.device, list(rows)
    )
    found = sorted(Heard(*rows[device], *state) for device, *state in models)
    last = list(rows.values())[-1]
    return found, (last.heard, last.device)


def refusals(connection: Connection, model: str, targets: Iterable[str]) -> list[RefusalNote]:
    """Returns the devices of these targets that report the model and a refused message, which may
    not have been authentic."""
    query = select(devices.c.device, devices.c.target, devices.c.slot, devices.c.refused)
    query = _reporting(query, model)
    query = query.where(devices.c.refused != "").order_by(devices.c.device)
    rows = connection.execute(query.where(devices.c.target.in_(list(targets))))
    return [RefusalNote(*row) for row in rows]


def is_known(connection: Connection, device: str) -> bool:
    """Returns whether a readable report of the device was received."""
    query = select(devices.c.device).where(devices.c.device == device)
    return connection.execute(query).first() is not None


def forget(connection: Connection, device: str) -> bool:
    """Deletes all rows of a device; returns whether there were any."""
    found = 0
    for table in (devices, device_models, presence, bad_messages, metrics, repairs):
        found += connection.execute(delete(table).where(table.c.device == device)).rowcount
    return found > 0


def _newest(incoming: Sequence[Incoming]) -> dict[str, Report]:
    newest: dict[str, Report] = {}
    for message in incoming:
        if isinstance(message, ReportMessage):
            held = newest.get(message.device)
            if held is None or _age(message.report) > _age(held):
                newest[message.device] = message.report
    return newest


def _age(row: Any) -> tuple[int, int]:
    return (row.boot, row.n)


def _take_reports(
    connection: Connection, fleet: str, newest: dict[str, Report], now: float
) -> None:
    known = {
        row.device: row
        for row in _rows(connection, select(devices), devices.c.device, list(newest))
    }
    new = {device: report for device, report in newest.items() if device not in known}
    newer = {d: r for d, r in newest.items() if d in known and _age(r) > _age(known[d])}
    older = [d for d, r in newest.items() if d in known and _age(r) < _age(known[d])]
    seen = {
        "seen_at": now,
        "seen_clock": clock.stored(connection).seconds,
        "heard": _next_batch(connection) if new or newer else 0,
    }
    rows = [_device_row(fleet, device, report) | seen for device, report in new.items()]
    if rows:
        connection.execute(insert(devices), rows)
    rows = [_device_row(fleet, device, report) | seen for device, report in newer.items()]
    _update_devices(connection, rows)
    if older:
        _count_stale(connection, older)
    _take_models(connection, fleet, new | newer, now)


def _device_row(fleet: str, device: str, report: Report) -> dict[str, Any]:
    return {
        "device": device,
        "target": report.target,
        "slot": slot_of(fleet, device),
        "boot": report.boot,
        "n": report.n,
        "agent": report.agent,
        "free_flash": report.free.flash,
        "free_ram": report.free.ram,
        "runtime": report.runtime,
        "runtime_version": report.runtime_version,
        "accelerator": report.accelerator,
        "refused": report.refused,
        "stale": 0,
        "reads": json.dumps(report.reads, sort_keys=True) if report.reads else "",
    }


def _update_devices(connection: Connection, rows: list[dict[str, Any]]) -> None:
    if rows:
        columns: dict[str, Any] = {
            name: bindparam(f"new_{name}") for name in rows[0] if name != "device"
        }
        connection.execute(
            update(devices).where(devices.c.device == bindparam("new_device")).values(columns),
            [{f"new_{name}": value for name, value in row.items()} for row in rows],
        )


def _next_batch(connection: Connection) -> int:
    """Returns the number of this batch of reports; by it the service finds the devices that it has
    not looked at since."""
    heard = heads.c.name == "heard"
    connection.execute(update(heads).where(heard).values(value=heads.c.value + 1))
    return connection.scalar(select(heads.c.value).where(heard)) or 0


def _count_stale(connection: Connection, older: list[str]) -> None:
    connection.execute(
        update(devices)
        .where(devices.c.device == bindparam("its_device"))
        .values(stale=devices.c.stale + 1),
        [{"its_device": device} for device in older],
    )


def _stale(connection: Connection, newest: dict[str, Report]) -> list[Ignored]:
    """Returns the devices of a batch that reports older than their newest one came from."""
    reason = "a newer one is stored; if it was reinstalled, `modelwave device forget`"
    query = select(devices.c.device, devices.c.stale).where(devices.c.stale > 0)
    rows = _rows(connection, query, devices.c.device, list(newest))
    return [Ignored(row.device, "old report", row.stale, reason) for row in rows]


def _take_models(connection: Connection, fleet: str, fresh: dict[str, Report], now: float) -> None:
    """Replaces the rows that changed, and appends their answers to the log."""
    before: dict[tuple[str, str], dict[str, Any]] = {
        (row.device, row.model): row._asdict()
        for row in _rows(connection, select(device_models), device_models.c.device, list(fresh))
    }
    after: dict[tuple[str, str], dict[str, Any]] = {
        (device, model): _model_row(device, model, state, before.get((device, model)))
        for device, report in fresh.items()
        for model, state in report.models.items()
    }
    gone = [key for key, row in before.items() if after.get(key) != row]
    changed = [key for key, row in after.items() if before.get(key) != row]
    if gone:
        connection.execute(
            delete(device_models)
            .where(device_models.c.device == bindparam("its_device"))
            .where(device_models.c.model == bindparam("its_model")),
            [{"its_device": device, "its_model": model} for device, model in gone],
        )
    states = [(device, model, fresh[device].models[model]) for device, model in changed]
    given = _orders(connection, {(model, state.seq) for _, model, state in states})
    entries: list[tuple[int, Body]] = []
    for device, model, state in states:
        order = given.get((model, state.seq))
        old = before.get((device, model))
        if order and not (old and _says_the_same(old, state)):
            target, slot = fresh[device].target, slot_of(fleet, device)
            found, row = answer(order, device, target, slot, state), after[device, model]
            if found and not says_nothing_new(order, row["proved"], found[0], state):
                outcome, reason = found
                row["proved"] = order.manifest if outcome == SUCCEEDED else ""
                body = ReportedEvent(device=device, seq=order.seq, outcome=outcome, reason=reason)
                entries.append((order.rollout, body))
    if changed:
        connection.execute(insert(device_models), [after[key] for key in changed])
    log.append_all(connection, now, entries)


def _model_row(
    device: str, model: str, state: ModelState, before: dict[str, Any] | None
) -> dict[str, Any]:
    proved = before["proved"] if before else ""
    return {"device": device, "model": model, "proved": proved, **asdict(state)}


def _says_the_same(old: dict[str, Any], state: ModelState) -> bool:
    """Returns whether an answer says the same as the one before. Numbers in its reason do not
    count: the same refusal has other free bytes each time."""
    fields = ("epoch", "seq", "outcome", "sha256")
    same = all(old[field] == getattr(state, field) for field in fields)
    return same and _NUMBER.sub("0", old["reason"]) == _NUMBER.sub("0", state.reason)


def _orders(
    connection: Connection, wanted: set[tuple[str, int]]
) -> dict[tuple[str, int], GivenOrder]:
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
    )
    found = {}
    for chunk in chunks(sorted(wanted)):
        pairs = tuple_(orders.c.model, orders.c.seq).in_(chunk)
        for row in connection.execute(query.where(pairs)):
            found[row.model, row.seq] = GivenOrder(
                **row._asdict() | {"slots": json.loads(row.slots)}
            )
    return found


def _take_presence(connection: Connection, incoming: Sequence[Incoming], now: float) -> None:
    last = {
        m.device: {"device": m.device, "online": m.online, "at": now}
        for m in incoming
        if isinstance(m, Present)
    }
    _replace(connection, presence, last)


def _take_bad(connection: Connection, incoming: Sequence[Incoming], now: float) -> list[Ignored]:
    found: dict[str, dict[str, Any]] = {}
    for message in incoming:
        if isinstance(message, Bad):
            count = found[message.device]["count"] if message.device in found else 0
            found[message.device] = {
                "device": message.device,
                "count": count + 1,
                "reason": message.reason,
                "at": now,
            }
    for row in _rows(connection, select(bad_messages), bad_messages.c.device, list(found)):
        found[row.device]["count"] += row.count
    kept = _replace(connection, bad_messages, found)
    return [
        Ignored(row["device"], "unreadable message", row["count"], row["reason"]) for row in kept
    ]


def _replace(
    connection: Connection, table: Any, found: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """Replaces the rows of these devices, and returns them; MAX_STRANGERS limits those of unknown
    devices."""
    kept = _kept(connection, table, list(found))
    rows = [row for device, row in found.items() if device in kept]
    if rows:
        connection.execute(
            delete(table).where(table.c.device == bindparam("its_device")),
            [{"its_device": row["device"]} for row in rows],
        )
        connection.execute(insert(table), rows)
    return rows


def _kept(connection: Connection, table: Any, names: list[str]) -> set[str]:
    """Returns the names that are known or have a row in `table`, and as many others as
    MAX_STRANGERS allows: an attacker can send each message under a new name."""
    kept = {
        row.device
        for known in (table, devices)
        for row in _rows(connection, select(known.c.device), known.c.device, names)
    }
    strangers = [name for name in names if name not in kept]
    if strangers:
        stranger = table.c.device.not_in(select(devices.c.device))
        held = connection.scalar(select(func.count()).select_from(table).where(stranger)) or 0
        kept.update(strangers[: max(0, MAX_STRANGERS - held)])
    return kept


def _rows(connection: Connection, query: Any, column: Any, values: list[str]) -> Iterator[Any]:
    for chunk in chunks(values):
        yield from connection.execute(query.where(column.in_(chunk)))
