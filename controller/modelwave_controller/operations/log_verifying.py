"""Verifies the hash chain over the log, a page at a time: so a long log is never in memory, and a
service writes and deletes meanwhile.

By itself the chain shows what somebody did who has not computed the hashes of all later events
anew. Who can write the database can do that; it is found with a head that somebody has written down
elsewhere.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from modelwave_controller.errors import OperatorError
from modelwave_controller.operations.log_walk import Head, Walk, WrongLog
from modelwave_controller.phrases import plural
from modelwave_controller.storage import chained, deleted_answers, log_chain
from modelwave_controller.storage.store import Store

PAGE = 5000  # events
_HEAD = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})", re.ASCII)


def head_of(text: str) -> Head:
    """Parses a head as it is printed. Raises OperatorError."""
    found = _HEAD.fullmatch(text)
    if not found:
        raise OperatorError(
            "--head: not ID:HASH, a number and 64 hexadecimal digits, as `modelwave log verify` "
            "prints them"
        )
    return Head(int(found[1]), bytes.fromhex(found[2]))


def verify(
    store: Store, kept: Head | None = None, tell: Callable[[int, int], None] = lambda _n, _of: None
) -> Walk:
    """Verifies the log up to the event that is the newest one now. `kept`: a head that was printed
    earlier, by which it must come. `tell` gets the number of the event where it is, and that of the
    newest one. Raises WrongLog."""
    with _one_moment(store) as connection:
        end = chained.end(connection)
    if kept and kept.event > end.newest:
        raise WrongLog(end.newest + 1, _too_short(kept, end.newest))
    walk = Walk(log_chain.beginning(end.unnoted), kept)
    while walk.at < end.newest:
        tell(walk.at, end.newest)
        with _one_moment(store) as connection:
            rows = chained.page(connection, walk.at, end.newest, PAGE)
            until = rows[-1].id if len(rows) == PAGE else end.newest
            ranges = deleted_answers.between(connection, walk.at, until, PAGE + 2)
        walk.over(rows, ranges, until)
    tell(end.newest, end.newest)
    if walk.at == end.newest and walk.links != end.links:
        raise WrongLog(walk.at, f"event {walk.at} is not the one that was written last")
    with store.read() as connection:
        unknown = walk.deleted - chained.noted(connection) - end.unnoted
    if unknown > 0:
        raise WrongLog(walk.newest_range, _too_many_deleted(walk, unknown))
    return walk


@contextmanager
def _one_moment(store: Store) -> Iterator[Connection]:
    with store.read() as connection:
        chained.see_one_moment(connection)
        yield connection


def _too_short(kept: Head, newest: int) -> str:
    return (
        f"the log ends with event {newest}, and the head is of event {kept.event}: its end was cut "
        "off; or a backup of before was restored, which `modelwave fleet log` says then"
    )


def _too_many_deleted(walk: Walk, unknown: int) -> str:
    return (
        f"{plural(unknown, 'answer')} of {walk.deleted} that are deleted were deleted by no "
        f"pruning, which notes their number; the newest that are begin with event "
        f"{walk.newest_range}"
    )
