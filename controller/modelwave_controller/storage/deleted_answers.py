"""Keeps which answers pruning has deleted from the log, so that its hash chain goes on across them
(log_chain.py): a row for each range of ids without an event between them, with the hash of its last
answer. Ranges that meet become one. So when all answers between two other events are deleted they
are one row, however many they were.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, or_, select

from modelwave_controller.storage import many
from modelwave_controller.storage.chunks import chunks
from modelwave_controller.storage.tables import deleted_answers

_its = deleted_answers.c
_QUERY = select(_its.first, _its.last, _its.chain).order_by(_its.first)


class Deleted(NamedTuple):
    """The ids from `first` to `last`, and the hash of the last one."""

    first: int
    last: int
    chain: bytes


def note(connection: Connection, answers: Iterable[tuple[int, bytes]]) -> None:
    """Notes that these answers (id and hash) are deleted."""
    new = joined(Deleted(number, number, chain) for number, chain in answers)
    beside = {row for chunk in chunks(new) for row in _beside(connection, chunk)}
    for chunk in chunks([one.first for one in beside]):
        connection.execute(delete(deleted_answers).where(_its.first.in_(chunk)))
    many.insert(connection, "deleted_answers", Deleted._fields, joined([*new, *beside]))


def joined(ranges: Iterable[Deleted]) -> list[Deleted]:
    """Returns the ranges by their ids, those that meet as one."""
    found: list[Deleted] = []
    for one in sorted(ranges):
        if found and found[-1].last + 1 == one.first:
            found[-1] = one._replace(first=found[-1].first)
        else:
            found.append(one)
    return found


def between(connection: Connection, after: int, until: int, limit: int) -> list[Deleted]:
    """Returns the first `limit` ranges with an id above `after` and one not above `until`."""
    query = _QUERY.where(_its.last > after, _its.first <= until).limit(limit)
    return [Deleted(*row) for row in connection.execute(query)]


def _beside(connection: Connection, ranges: Sequence[Deleted]) -> list[Deleted]:
    """Returns the stored ranges that end or begin beside one of these."""
    ends = _its.last.in_([one.first - 1 for one in ranges])
    begins = _its.first.in_([one.last + 1 for one in ranges])
    return [Deleted(*row) for row in connection.execute(_QUERY.where(or_(ends, begins)))]
