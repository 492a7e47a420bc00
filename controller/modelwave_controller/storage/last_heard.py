"""Stores when a device was last heard, and with what number, if its newest reports repeat what is
stored of it.

Most reports do: a device sends one every 15 minutes. A row here is small, and no index has its
columns, so that a minute's reports together write little. It is newer than what `devices` says:
whoever stores another report there deletes it.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, select, text

from modelwave_controller.storage.chunks import chunks, rows_with
from modelwave_controller.storage.tables import devices, last_heard


class LastHeard(NamedTuple):
    """The row. `at` is in Unix seconds, `clock` in seconds of the rollout clock."""

    device: str
    boot: int
    n: int
    at: int
    clock: int
    free_flash: int
    free_ram: int


# The columns of `devices` as they are with the newest report; select_from(NEWEST).
SEEN_AT = func.coalesce(last_heard.c.at, devices.c.seen_at).label("seen_at")
SEEN_CLOCK = func.coalesce(last_heard.c.clock, devices.c.seen_clock).label("seen_clock")
_NEWER = {
    "seen_at": SEEN_AT,
    "seen_clock": SEEN_CLOCK,
    "free_flash": func.coalesce(last_heard.c.free_flash, devices.c.free_flash).label("free_flash"),
    "free_ram": func.coalesce(last_heard.c.free_ram, devices.c.free_ram).label("free_ram"),
}
COLUMNS = [_NEWER.get(column.name, column) for column in devices.c]
NEWEST = devices.outerjoin(last_heard, last_heard.c.device == devices.c.device)

# Both databases have this, and SQLAlchemy has a construct of its own for each.
_PUT = text(
    "INSERT INTO last_heard (device, boot, n, at, clock, free_flash, free_ram) "
    "VALUES (:device, :boot, :n, :at, :clock, :free_flash, :free_ram) "
    "ON CONFLICT (device) DO UPDATE SET boot = excluded.boot, n = excluded.n, at = excluded.at, "
    "clock = excluded.clock, free_flash = excluded.free_flash, free_ram = excluded.free_ram"
)


def of(connection: Connection, names: Sequence[str]) -> dict[str, LastHeard]:
    """Returns the rows of those of these devices that have one."""
    rows = rows_with(connection, select(last_heard), last_heard.c.device, names)
    return {row.device: LastHeard(*row) for row in rows}


def put(connection: Connection, rows: Iterable[LastHeard]) -> None:
    """Stores these rows in place of those that the devices had."""
    values = [row._asdict() for row in sorted(rows)]  # by device, as the table is
    if values:
        connection.execute(_PUT, values)


def drop(connection: Connection, names: Collection[str]) -> None:
    for chunk in chunks(sorted(names)):
        connection.execute(delete(last_heard).where(last_heard.c.device.in_(chunk)))
