"""Takes in the messages of devices.

`store` stores a batch of messages in one transaction. A device is known from its first report on;
after that only a newer report changes anything (installs.py), and of its rows only the columns that
differ are written. What it says of its models, model_states.py stores.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, insert, select, update

from modelwave_controller.storage import (
    clock,
    gateways,
    ignored,
    last_heard,
    many,
    offers,
    standing,
    views,
)
from modelwave_controller.storage.changes import update_changed
from modelwave_controller.storage.chunks import rows_with
from modelwave_controller.storage.counting import Place
from modelwave_controller.storage.devices import reads_column
from modelwave_controller.storage.ignored import Ignored
from modelwave_controller.storage.last_heard import LastHeard
from modelwave_controller.storage.messages import Incoming, Present, ReportMessage
from modelwave_controller.storage.model_states import take_models, with_its_models
from modelwave_controller.storage.standing import Standing
from modelwave_controller.storage.strangers import may_have_rows
from modelwave_controller.storage.tables import devices, heads, presence
from modelwave_controller.trust.documents import Report
from modelwave_shared.slots import slot as slot_of

_FREE = ("free_flash", "free_ram")
# The columns of `devices`: what a report says, and after it what is known of when it came.
_SAID = (
    *("device", "target", "slot", "agent", *_FREE, "runtime", "runtime_version", "accelerator"),
    *("refused", "view", "root", "reads", "via"),
)
_SEEN = ("seen_at", "seen_clock", "heard")
_COLUMNS = (*_SAID, *standing.COLUMNS, *_SEEN)
_ROWS = select(*(devices.c[name] for name in _COLUMNS))


@dataclass
class Stored:
    """What came of a batch: the messages that were ignored; the reports that say what the database
    has of their devices now; and the presence of devices as it has it."""

    ignored: list[Ignored] = field(default_factory=list)
    standing: dict[str, ReportMessage] = field(default_factory=dict)
    online: dict[str, bool] = field(default_factory=dict)


def store(
    connection: Connection,
    fleet: str,
    incoming: Sequence[Incoming],
    now: float,
    repeated: Mapping[str, LastHeard] = MappingProxyType({}),
) -> Stored:
    """Stores the devices' messages; `connection` is from Store.write(), `now` in Unix seconds.
    `repeated` has the newest reports that are not stored yet, as they repeat what is."""
    reports = _reports(incoming)
    found = Stored()
    found.standing = _take_reports(connection, fleet, reports, now, repeated)
    found.online = _take_presence(connection, incoming, now)
    found.ignored = ignored.noted(connection, reports, incoming, now)
    return found


def _reports(incoming: Sequence[Incoming]) -> dict[str, list[ReportMessage]]:
    """Returns the reports of each device, in the order in which they came."""
    found: dict[str, list[ReportMessage]] = defaultdict(list)
    for message in incoming:
        if isinstance(message, ReportMessage):
            found[message.device].append(message)
    return found


def _take_reports(
    connection: Connection,
    fleet: str,
    reports: dict[str, list[ReportMessage]],
    now: float,
    repeated: Mapping[str, LastHeard],
) -> dict[str, ReportMessage]:
    """Returns the reports that say what is stored of their devices now."""
    rows = {row[0]: row for row in rows_with(connection, _ROWS, devices.c.device, list(reports))}
    small = last_heard.of(connection, list(rows))
    heard = small | {device: repeated[device] for device in rows if device in repeated}
    seconds = clock.stored(connection).seconds
    its: dict[str, Standing] = {}
    for device, given in reports.items():
        its[device] = Standing(rows.get(device), heard.get(device), seconds, now)
        for message in given:
            its[device].hear(message)
    fresh = {device: one.taken for device, one in its.items() if one.taken}
    seen = (now, seconds, _next_batch(connection) if fresh else 0)
    same: dict[str, ReportMessage] = {}
    new: list[tuple[Any, ...]] = []
    changed: list[tuple[Any, tuple[Any, ...]]] = []
    for device, one in its.items():
        row = rows.get(device)
        if row is None:
            assert one.taken, "the first report of a device is"
            new.append((*_said(fleet, device, one.taken.report, None), *one.columns(), *seen))
        elif one.taken:
            said = _said(fleet, device, one.taken.report, row)
            changed.append((row, (*said, *one.columns(), *seen)))
        elif one.has_changed:
            before = tuple(row)
            since = before[-len(_SEEN) :]
            changed.append((before, (*before[: len(_SAID)], *one.columns(), *since)))
        elif one.same and _says(row, _said(fleet, device, one.same.report, row)):
            same[device] = one.same
    many.insert(connection, "devices", _COLUMNS, new)
    update_changed(connection, "devices", _COLUMNS, changed, "device")
    last_heard.drop(connection, small.keys() & fresh.keys())
    states = {device: message.report for device, message in fresh.items()}
    replaced = {device for device in fresh if its[device].is_replaced}
    places = {device: Place(row.target, row.slot, row.reads) for device, row in rows.items()}
    take_models(connection, fleet, states, replaced, now, places)
    return fresh | with_its_models(connection, same)


def _says(row: Any, said: Sequence[Any]) -> bool:
    """Returns whether the row says the same, but for what is free, as each report says other
    numbers."""
    both = zip(_SAID, row, said, strict=False)
    return all(name in _FREE or old == new for name, old, new in both)


def _said(fleet: str, device: str, report: Report, row: Any | None) -> tuple[Any, ...]:
    """Returns what the report says; `row` is the device's, which has its slot."""
    return (
        device,
        report.target,
        slot_of(fleet, device) if row is None else row.slot,
        report.agent,
        report.free.flash,
        report.free.ram,
        offers.column(report),
        report.runtime_version,
        report.accelerator,
        report.refused,
        views.column(report),
        views.root(report),
        reads_column(report),
        gateways.column(device, report),
    )


def _next_batch(connection: Connection) -> int:
    """Returns the number of this batch of reports; by it the service finds the devices that it has
    not looked at since."""
    heard = heads.c.name == "heard"
    connection.execute(update(heads).where(heard).values(value=heads.c.value + 1))
    return connection.scalar(select(heads.c.value).where(heard)) or 0


def _take_presence(
    connection: Connection, incoming: Sequence[Incoming], now: float
) -> dict[str, bool]:
    """Returns the presence of these devices as it is stored now."""
    last = {m.device: m.online for m in incoming if isinstance(m, Present)}
    if not last:
        return {}
    held = rows_with(connection, select(presence), presence.c.device, list(last))
    before = {row.device: row.online for row in held}
    changed = [(last[d], now, d) for d, online in before.items() if last[d] != online]
    many.update(connection, "presence", ("online", "at"), ("device",), changed)
    unknown = [device for device in last if device not in before]
    kept = may_have_rows(connection, presence, unknown) if unknown else set()
    new = [{"device": d, "online": last[d], "at": now} for d in unknown if d in kept]
    if new:
        connection.execute(insert(presence), new)
    return {device: last[device] for device in last if device in before or device in kept}
