"""A number that increases when the operator changes which devices belong to the fleet. By it a
service notices that what it keeps in memory about devices is out of date."""

from sqlalchemy import Connection, select, update

from modelwave_controller.storage.tables import heads

_MEMBERS = heads.c.name == "members"
_NUMBER = select(heads.c.value).where(_MEMBERS)


def number(connection: Connection) -> int:
    return connection.scalar(_NUMBER) or 0


def changed(connection: Connection) -> None:
    """Notes a change, in the transaction that makes it."""
    connection.execute(update(heads).where(_MEMBERS).values(value=heads.c.value + 1))
