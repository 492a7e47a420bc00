"""Reads the hash chain over the log (log_chain.py) with what it is over, to verify it."""

import json
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from modelwave_controller.rollout.events import CONDENSED
from modelwave_controller.storage.log_chain import Links
from modelwave_controller.storage.tables import events, heads


class End(NamedTuple):
    """The log's newest event as `heads` has it. `newest`: its id, or the highest one there is;
    `unnoted`: as for log_chain.beginning."""

    newest: int
    links: Links
    unnoted: int


def see_one_moment(connection: Connection) -> None:
    """Lets all queries of a read transaction see the same moment; it must be its first one. (On
    SQLite they do.)"""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def end(connection: Connection) -> End:
    query = select(heads.c.name, heads.c.value, heads.c.chain, heads.c.chain_but_answers)
    rows = {row.name: row for row in connection.execute(query)}
    highest = connection.scalar(select(func.max(events.c.id))) or 0
    event, unnoted = rows.get("event"), rows.get("unnoted")
    return End(
        newest=max(highest, event.value if event else 0),
        links=Links(event.chain, event.chain_but_answers) if event else Links(b"", b""),
        unnoted=unnoted.value if unnoted else 0,
    )


def page(connection: Connection, after: int, until: int, limit: int) -> list[Any]:
    """Returns the first `limit` rows with ids above `after` and not above `until`."""
    its = events.c
    query = select(its.id, its.rollout, its.at, its.kind, its.body, its.chain)
    query = query.where(its.id > after, its.id <= until).order_by(its.id).limit(limit)
    return [*connection.execute(query)]


def noted(connection: Connection) -> int:
    """Returns how many answers the events say that pruning deletes, or has deleted."""
    query = select(events.c.body).where(events.c.kind == CONDENSED)
    return sum(_answers(body) for body in connection.scalars(query))


def _answers(condensed: Any) -> int:
    try:
        return int(json.loads(condensed)["answers"])
    except (ValueError, TypeError, KeyError):  # of a newer program, or damaged
        return 0
