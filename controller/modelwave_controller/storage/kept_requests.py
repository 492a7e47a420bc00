"""Stores requests that came with a key, and what was answered, for a day.

A row is written in the transaction of what the request changes (`claim`), so both are there or
neither; the answer comes to it afterwards (`answer`).
"""

import zlib
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from modelwave_controller.storage.tables import kept_requests

KEPT_SECONDS = 86400
KEPT_OF_ONE = 1000  # of a person; the oldest go
MAX_ANSWER_BYTES = 64 << 10  # compressed; of a longer one is known only that there was one
UNKNOWN = 0  # the status of an answer that is not known

_ITS = kept_requests.c


class Key(NamedTuple):
    """`name` is that of who asks; `request` the SHA-256 of what is asked, in hex."""

    name: str
    key: str
    request: str


class Kept(NamedTuple):
    """`status` is HTTP's, or UNKNOWN."""

    request: str
    run: str
    status: int
    answer: bytes


def get(connection: Connection, key: Key, now: float) -> Kept | None:
    """Returns the request with this key, if there was one in the last day."""
    query = select(_ITS.request, _ITS.run, _ITS.status, _ITS.answer)
    query = query.where(*_is(key), _ITS.at > now - KEPT_SECONDS)
    row = connection.execute(query).first()
    if row is None:
        return None
    return Kept(row.request, row.run, row.status, zlib.decompress(row.answer))


def claim(connection: Connection, key: Key, run: str, now: float) -> None:
    """Notes that this try does the request; deletes what is too old, or too much."""
    connection.execute(delete(kept_requests).where(_ITS.at <= now - KEPT_SECONDS))
    connection.execute(delete(kept_requests).where(*_is(key)))
    its = _ITS.name == key.name
    if (connection.scalar(select(func.count()).where(its)) or 0) >= KEPT_OF_ONE:
        newest = select(_ITS.at).where(its).order_by(_ITS.at.desc())
        last = connection.scalar(newest.limit(1).offset(KEPT_OF_ONE - 1))
        connection.execute(delete(kept_requests).where(its, _ITS.at <= last))
    row = {"run": run, "at": now, "status": UNKNOWN, "answer": zlib.compress(b"")}
    connection.execute(insert(kept_requests).values(key._asdict() | row))


def answer(connection: Connection, key: Key, run: str, status: int, text: bytes) -> None:
    """Notes what was answered to the request that this try has done."""
    packed = zlib.compress(text)
    if len(packed) > MAX_ANSWER_BYTES:
        return
    its = (*_is(key), _ITS.run == run)
    connection.execute(update(kept_requests).where(*its).values(status=status, answer=packed))


def _is(key: Key) -> tuple[Any, ...]:
    return _ITS.name == key.name, _ITS.key == key.key
