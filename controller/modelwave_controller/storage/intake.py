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

from modelwave_controller.storage import clock, ignored, last_heard, offers, views
from modelwave_controller.storage.changes import but_same, update_rows
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
    rows = {
        row.device: row
        for row in rows_with(connection, select(devices), devices.c.device, list(reports))
    }
    small = last_heard.of(connection, list(rows))
    heard = small | {device: repeated[device] for device in rows if device in repeated}
    seconds = clock.stored(connection).seconds
    fresh: dict[str, ReportMessage] = {}
    same: dict[str, ReportMessage] = {}
    replaced: set[str] = set()
    new: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    for device, given in reports.items():
        row = rows.get(device)
        standing = Standing(row, heard.get(device), seconds, now)
        for message in given:
            standing.hear(message)
        if standing.taken:
            fresh[device] = standing.taken
            if standing.is_replaced:
                replaced.add(device)
            found = _device_row(fleet, device, standing.taken.report, row) | standing.columns()
            found |= {"seen_at": now, "seen_clock": seconds}
            if row is None:
                new.append(found)
            else:
                changed.append(but_same(row, found, "device"))
        elif standing.has_changed:
            changed.append(but_same(row, {"device": device} | standing.columns(), "device"))
        elif standing.same and _says(row, _device_row(fleet, device, standing.same.report, row)):
            same[device] = standing.same
    if fresh:
        heard_now = {"heard": _next_batch(connection)}
        for values in (*new, *changed):
            if values["device"] in fresh:
                values.update(heard_now)
    if new:
        connection.execute(insert(devices), new)
    update_rows(connection, devices, changed, "device")
    last_heard.drop(connection, small.keys() & fresh.keys())
    states = {device: message.report for device, message in fresh.items()}
    places = {device: Place(row.target, row.slot, row.reads) for device, row in rows.items()}
    take_models(connection, fleet, states, replaced, now, places)
    return fresh | with_its_models(connection, same)


def _says(row: Any, found: dict[str, Any]) -> bool:
    """Returns whether the row says the same, but for what is free, as each report says other
    numbers."""
    return all(getattr(row, name) == value for name, value in found.items() if name not in _FREE)


def _device_row(fleet: str, device: str, report: Report, row: Any | None) -> dict[str, Any]:
    """Returns what the report says; `row` is the device's, which has its slot."""
    return {
        "device": device,
        "target": report.target,
        "slot": slot_of(fleet, device) if row is None else row.slot,
        "agent": report.agent,
        "free_flash": report.free.flash,
        "free_ram": report.free.ram,
        "runtime": offers.column(report),
        "runtime_version": report.runtime_version,
        "accelerator": report.accelerator,
        "refused": report.refused,
        "view": views.column(report),
        "root": views.root(report),
        "reads": reads_column(report),
    }


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
    changed = [device for device, online in last.items() if before.get(device, online) != online]
    rows = [{"device": d, "online": last[d], "at": now} for d in changed]
    update_rows(connection, presence, rows, "device")
    unknown = [device for device in last if device not in before]
    kept = may_have_rows(connection, presence, unknown) if unknown else set()
    new = [{"device": d, "online": last[d], "at": now} for d in unknown if d in kept]
    if new:
        connection.execute(insert(presence), new)
    return {device: last[device] for device in last if device in before or device in kept}
