"""What ingest processes hand over to the service that leads: which devices have asked for a
heartbeat, and which have repeated their report. It takes both to memory; a device that was lost so
asks and repeats again.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select

from modelwave_controller.storage.tables import handed_over

MAX_ROWS = 200  # while no service leads; older ones are dropped
MAX_TAKEN = 20


class Ask(NamedTuple):
    """What a device asks for a heartbeat with, and what it runs."""

    nonce: str
    target: str
    models: tuple[str, ...]


class Handover(NamedTuple):
    """By device: what it asks with; and the rollout clock when it repeated its report."""

    asks: Mapping[str, Ask]
    again: Mapping[str, float]


def put(connection: Connection, given: Handover) -> None:
    """`connection` is from a LeaderStore's write()."""
    newest = connection.scalar(select(func.max(handed_over.c.id))) or 0
    body = json.dumps([given.asks, given.again])
    connection.execute(insert(handed_over).values(id=newest + 1, body=body))
    number = connection.scalar(select(func.count()).select_from(handed_over)) or 0
    if number > MAX_ROWS:
        oldest = select(handed_over.c.id).order_by(handed_over.c.id).limit(number - MAX_ROWS)
        connection.execute(delete(handed_over).where(handed_over.c.id.in_(oldest)))


def waits(connection: Connection) -> bool:
    return connection.scalar(select(handed_over.c.id).limit(1)) is not None


def take(connection: Connection) -> list[Handover]:
    """Removes and returns the oldest ones, MAX_TAKEN at most."""
    rows = connection.execute(select(handed_over).order_by(handed_over.c.id).limit(MAX_TAKEN)).all()
    taken = [row.id for row in rows]
    connection.execute(delete(handed_over).where(handed_over.c.id.in_(taken)))
    return [_read(row.body) for row in rows]


def _read(body: str) -> Handover:
    asks: dict[str, Any]
    asks, again = json.loads(body)
    found = {device: Ask(ask[0], ask[1], tuple(ask[2])) for device, ask in asks.items()}
    return Handover(found, again)
