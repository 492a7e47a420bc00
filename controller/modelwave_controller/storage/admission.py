"""Lets only messages of devices that belong to the fleet count.

    the device                       its messages
    is revoked                       do not count
    is enrolled or approved          count
    is known from reports before     count
    none of these                    count, unless the fleet wants unknown devices approved

A device whose messages do not count has a row in `waiting`, with what its last report said.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from modelwave_controller.storage import devices, enrolled, strangers
from modelwave_controller.storage.chunks import rows_with
from modelwave_controller.storage.enrolled import Waiting
from modelwave_controller.storage.messages import Incoming, ReportMessage
from modelwave_controller.storage.tables import waiting


def admitted(
    connection: Connection, incoming: Sequence[Incoming], approves: bool, now: float
) -> list[Incoming]:
    """Returns the messages that count, and notes those reports that do not. `approves`: unknown
    devices wait for approval; `now` is in Unix seconds."""
    names = sorted({message.device for message in incoming})
    out = _not_admitted(connection, names, approves)
    if out:
        reports = [m for m in incoming if m.device in out and isinstance(m, ReportMessage)]
        _note(connection, reports, now)
    return [message for message in incoming if message.device not in out]


def _not_admitted(connection: Connection, names: list[str], approves: bool) -> set[str]:
    its = enrolled.of(connection, names)
    revoked = {name for name, row in its.items() if not row.active}
    if not approves:
        return revoked
    known = devices.places(connection, names)
    return {name for name in names if name not in its and name not in known} | revoked


def _note(connection: Connection, reports: Sequence[ReportMessage], now: float) -> None:
    names = sorted({message.device for message in reports})
    rows = rows_with(connection, select(waiting), waiting.c.device, names)
    found = {row.device: Waiting(*row) for row in rows}
    room = strangers.MAX_STRANGERS - (
        connection.scalar(select(func.count()).select_from(waiting)) or 0
    )
    for message in reports:
        row = found.get(message.device)
        if row is None:
            if room <= 0:
                continue
            room -= 1
            row = Waiting(message.device, "", 0, now, now)
        found[message.device] = row._replace(
            target=message.report.target, reports=row.reports + 1, seen_at=now
        )
    enrolled.put_waiting(connection, found.values())
