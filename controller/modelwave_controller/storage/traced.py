"""Stores up to which event the traces have been sent."""

from sqlalchemy import Connection, insert, select, update

from modelwave_controller.storage.tables import heads

_ITS = heads.c.name == "traced"


def cursor(connection: Connection) -> int | None:
    """Returns the event's id; None: traces have never been sent."""
    return connection.scalar(select(heads.c.value).where(_ITS))


def note(connection: Connection, event: int) -> None:
    if not connection.execute(update(heads).where(_ITS).values(value=event)).rowcount:
        connection.execute(insert(heads).values(name="traced", value=event))
