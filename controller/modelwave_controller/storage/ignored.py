"""Counts the messages of devices that change nothing: unreadable, dropped, unproven or old ones."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select

from modelwave_controller.storage.chunks import rows_with
from modelwave_controller.storage.messages import Bad, Incoming, Unproven
from modelwave_controller.storage.strangers import may_have_rows
from modelwave_controller.storage.tables import bad_messages, devices, unproven


class Ignored(NamedTuple):
    """The messages of a device so far that were ignored ("old report", "message"), or
    that were not proven and may count all the same ("message")."""

    device: str
    what: str
    number: int
    reason: str
    fate: str = "ignored"


def noted(
    connection: Connection, reports: Collection[str], incoming: Sequence[Incoming], now: float
) -> list[Ignored]:
    """Counts those of a batch; `reports` are the devices of which it has reports."""
    bad = Ignored("", "message", 0, "")
    not_proven = Ignored("", "message", 0, "", "not proven")
    return [
        *_stale(connection, reports),
        *_counted(connection, bad_messages, bad, Bad, incoming, now),
        *_counted(connection, unproven, not_proven, Unproven, incoming, now),
    ]


def _stale(connection: Connection, reports: Collection[str]) -> list[Ignored]:
    """Returns the devices of a batch that reports older than their newest one came from."""
    reason = "a newer one is stored; if it was reinstalled, `modelwave device forget "
    query = select(devices.c.device, devices.c.stale).where(devices.c.stale > 0)
    rows = rows_with(connection, query, devices.c.device, list(reports))
    return [Ignored(row.device, "old report", row.stale, f"{reason}{row.device}`") for row in rows]


def _counted(
    connection: Connection,
    table: Any,
    note: Ignored,
    kind: type[Bad | Unproven],
    incoming: Sequence[Incoming],
    now: float,
) -> list[Ignored]:
    """Counts the messages of this kind in the table, with the reason of the last one. Returns
    notes like `note`."""
    found: dict[str, dict[str, Any]] = {}
    for message in incoming:
        if isinstance(message, kind):
            count = found[message.device]["count"] if message.device in found else 0
            found[message.device] = {
                "device": message.device,
                "count": count + (message.number if isinstance(message, Bad) else 1),
                "reason": message.reason,
                "at": now,
            }
    for row in rows_with(connection, select(table), table.c.device, list(found)):
        found[row.device]["count"] += row.count
    kept = _replace(connection, table, found)
    return [
        note._replace(device=row["device"], number=row["count"], reason=row["reason"])
        for row in kept
    ]


def _replace(
    connection: Connection, table: Any, found: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """Replaces the rows of these devices, and returns them; MAX_STRANGERS limits those of unknown
    devices."""
    kept = may_have_rows(connection, table, list(found))
    rows = [row for device, row in found.items() if device in kept]
    if rows:
        connection.execute(
            delete(table).where(table.c.device == bindparam("its_device")),
            [{"its_device": row["device"]} for row in rows],
        )
        connection.execute(insert(table), rows)
    return rows
