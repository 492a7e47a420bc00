"""Stores which devices the operator enrolled, approved and revoked, and which wait for approval.

A row belongs to the device's id. It stays when the device is forgotten, and when it is revoked:
the generation of its secrets never goes back, so that old ones never hold again.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, or_, select

from modelwave_controller.storage import members
from modelwave_controller.storage.chunks import chunks, rows_with
from modelwave_controller.storage.tables import devices, enrolled, presence, waiting


class Enrolled(NamedTuple):
    """A device's enrolment. Times are in Unix seconds, 0: never. `generation` 0: it was approved
    and has no secrets of ours; `verifier` "": it has no password. A gateway has secrets and no
    target."""

    device: str
    target: str
    generation: int
    verifier: str
    enrolled_at: float
    revoked_at: float
    approved_at: float

    @property
    def active(self) -> bool:
        return not self.revoked_at


class Waiting(NamedTuple):
    """A device whose reports do not count, with their number; times are in Unix seconds."""

    device: str
    target: str
    reports: int
    since: float
    seen_at: float


def every(connection: Connection) -> list[Enrolled]:
    """Returns all enrolments by device, those of revoked devices too."""
    rows = connection.execute(select(enrolled).order_by(enrolled.c.device))
    return [Enrolled(*row) for row in rows]


def of(connection: Connection, names: Sequence[str]) -> dict[str, Enrolled]:
    """Returns those of these devices that have an enrolment."""
    rows = rows_with(connection, select(enrolled), enrolled.c.device, names)
    return {row.device: Enrolled(*row) for row in rows}


def waiting_of(connection: Connection, names: Sequence[str]) -> dict[str, Waiting]:
    """Returns those of these devices whose reports do not count."""
    rows = rows_with(connection, select(waiting), waiting.c.device, names)
    return {row.device: Waiting(*row) for row in rows}


def put(connection: Connection, rows: Collection[Enrolled]) -> None:
    """Stores these enrolments in place of those that the devices had. They wait no longer."""
    names = [row.device for row in rows]
    for chunk in chunks(names):
        connection.execute(delete(enrolled).where(enrolled.c.device.in_(chunk)))
        connection.execute(delete(waiting).where(waiting.c.device.in_(chunk)))
    if rows:
        connection.execute(insert(enrolled), [row._asdict() for row in rows])
        members.changed(connection)


def missing(connection: Connection) -> list[Enrolled]:
    """Returns the expected devices: enrolled, not revoked, and never heard or forgotten since."""
    query = select(enrolled).where(
        enrolled.c.revoked_at == 0,
        enrolled.c.generation > 0,
        enrolled.c.device.not_in(select(devices.c.device)),
        or_(enrolled.c.target != "", enrolled.c.device.not_in(select(presence.c.device))),
    )
    return [Enrolled(*row) for row in connection.execute(query.order_by(enrolled.c.device))]


def those_waiting(connection: Connection) -> list[Waiting]:
    """Returns the devices whose reports do not count, by name."""
    rows = connection.execute(select(waiting).order_by(waiting.c.device))
    return [Waiting(*row) for row in rows]


def put_waiting(connection: Connection, rows: Iterable[Waiting]) -> None:
    """Stores these rows in place of those that the devices had."""
    found = {row.device: row._asdict() for row in rows}
    for chunk in chunks(list(found)):
        connection.execute(delete(waiting).where(waiting.c.device.in_(chunk)))
    if found:
        connection.execute(insert(waiting), list(found.values()))
