"""Stores how far each alert has come in the log."""

from typing import NamedTuple

from sqlalchemy import Connection, insert, select, update

from modelwave_controller.storage.tables import alerts


class AlertRow(NamedTuple):
    """A row; the table says what its columns are."""

    name: str
    cursor: int
    until: int = 0
    tries: int = 0
    since: float = 0.0
    sent: int = 0
    sent_at: float = 0.0
    given_up: int = 0
    error: str = ""
    error_at: float = 0.0


def get(connection: Connection, name: str) -> AlertRow | None:
    columns = [alerts.c[field] for field in AlertRow._fields]
    row = connection.execute(select(*columns).where(alerts.c.name == name)).first()
    return AlertRow(*row) if row else None


def begin(connection: Connection, name: str, cursor: int) -> AlertRow:
    """Stores a new alert, which tells what comes after event `cursor`."""
    row = AlertRow(name, cursor)
    connection.execute(insert(alerts).values(row._asdict()))
    return row


def store(connection: Connection, row: AlertRow) -> None:
    connection.execute(update(alerts).where(alerts.c.name == row.name).values(row._asdict()))
