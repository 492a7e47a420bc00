"""Adds the hash chain over the event log (storage/log_chain.py), and makes it for the log that is
there. Of ids that are missing it notes that they were answers: nothing else was ever deleted."""

import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from modelwave_controller.storage.log_chain import Links, beginning, follow

revision = "0023"
down_revision = "0022"

_AT_ONCE = 5000  # events
_TELL_SECONDS = 5.0

logger = logging.getLogger(__name__)


def upgrade() -> None:
    op.add_column("events", sa.Column("chain", sa.LargeBinary))
    op.add_column("heads", sa.Column("chain", sa.LargeBinary))
    op.add_column("heads", sa.Column("chain_but_answers", sa.LargeBinary))
    op.create_table(
        "deleted_answers",
        sa.Column("first", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("chain", sa.LargeBinary, nullable=False),
    )
    op.create_index("deleted_answers_by_last", "deleted_answers", ["last"])
    _chain(op.get_bind())


def _chain(connection: sa.Connection) -> None:
    newest = connection.scalar(sa.text("SELECT value FROM heads WHERE name = 'event'")) or 0
    unnoted = _unnoted(connection, newest)
    links, before, told = beginning(unnoted), 0, time.monotonic()
    for rows in _pages(connection):
        hashes, gone = [], []
        for row in rows:
            if row.id > before + 1:
                gone.append(_range(before, row.id, links))
            links, before = follow(links, *row), row.id
            hashes.append({"i": before, "c": links.newest})
        connection.execute(sa.text("UPDATE events SET chain = :c WHERE id = :i"), hashes)
        _note(connection, gone)
        if time.monotonic() - told >= _TELL_SECONDS:
            told = time.monotonic()
            logger.warning("making the hash chain of the log: up to event %d", before)
    _note(connection, [_range(before, newest + 1, links)] if newest > before else [])
    connection.execute(
        sa.text("UPDATE heads SET chain = :c, chain_but_answers = :a WHERE name = 'event'"),
        {"c": links.newest, "a": links.no_answer},
    )
    connection.execute(
        sa.text("INSERT INTO heads (name, value) VALUES ('unnoted', :n)"), {"n": unnoted}
    )


def _range(before: int, until: int, links: Links) -> dict[str, Any]:
    """Returns the range of what is missing between two events."""
    return {"f": before + 1, "l": until - 1, "c": links.newest}


def _note(connection: sa.Connection, ranges: list[dict[str, Any]]) -> None:
    if ranges:
        connection.execute(sa.text("INSERT INTO deleted_answers VALUES (:f, :l, :c)"), ranges)


def _pages(connection: sa.Connection) -> Iterator[list[Any]]:
    query = sa.text(
        "SELECT id, rollout, at, kind, body FROM events WHERE id > :after ORDER BY id LIMIT :n"
    )
    after = 0
    while rows := connection.execute(query, {"after": after, "n": _AT_ONCE}).all():
        yield [*rows]
        after = rows[-1].id


def _unnoted(connection: sa.Connection, newest: int) -> int:
    """Returns how many answers were deleted of which no event says so: those that came after the
    answers to their rollout were counted."""
    number = connection.scalar(sa.text("SELECT count(*) FROM events")) or 0
    counted = connection.execute(sa.text("SELECT body FROM events WHERE kind = 'condensed'"))
    noted = sum(_answers(body) for (body,) in counted)
    left = sa.text(
        "SELECT count(*) FROM events a JOIN events c ON c.rollout = a.rollout AND c.id > a.id "
        "AND c.kind = 'condensed' WHERE a.kind = 'reported'"
    )
    return max(0, newest - number + (connection.scalar(left) or 0) - noted)


def _answers(condensed: str) -> int:
    try:
        return int(json.loads(condensed)["answers"])
    except (ValueError, TypeError, KeyError):  # of a newer program, or damaged
        return 0
