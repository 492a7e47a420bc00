"""Reads the log for people and programs: a bounded number of events, a page at a time.

Each page is a transaction of its own. So a reader who stops for a while, as in a pager, does not
hold an old state of the database, and the log is never in memory as a whole.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from modelwave_controller.operations import rollouts
from modelwave_controller.results.log import LogEntry, LogPage
from modelwave_controller.rollout.events import FLEET, Event
from modelwave_controller.rollout.lines import line_of
from modelwave_controller.storage import counting, log
from modelwave_controller.storage.log import Wanted
from modelwave_controller.storage.store import Store

PAGE = 1000  # events


def page(store: Store, wanted: Wanted, limit: int, cursor: str = "") -> LogPage:
    """Returns a page of the newest `limit` of the wanted events, as they were when its first page
    was read; `cursor` is `next` of the page before, "" for the first one."""
    older, hidden = False, 0
    with store.read() as connection:
        if cursor:
            after, until = (int(part) for part in cursor.split("-"))
        else:
            until = log.newest_id(connection)
            after = log.before_newest(connection, wanted, limit)
            older = after > 0
            hidden = 0 if wanted.answers else log.count_answers(connection, wanted)
        events = log.page(connection, wanted, after, until, PAGE)
        entries = entries_of(connection, events)
    then = f"{entries[-1].id}-{until}" if len(entries) == PAGE else ""
    return LogPage(entries, older, hidden, then)


class News(NamedTuple):
    """Events, oldest first, and the id up to which they are all that are wanted."""

    entries: list[LogEntry]
    until: int


def newest_id(store: Store) -> int:
    with store.read() as connection:
        return log.newest_id(connection)


def after(store: Store, wanted: Wanted, after: int, limit: int) -> News:
    """Returns the first `limit` of the wanted events with ids above `after`."""
    with store.read() as connection:
        until = max(after, log.newest_id(connection))
        entries = entries_of(connection, log.page(connection, wanted, after, until, limit))
    return News(entries, entries[-1].id if len(entries) == limit else until)


def number_of(store: Store, wanted: str | None) -> int:
    """Returns the number of the rollout `wanted`, as rollouts.find. Raises OperatorError."""
    with store.read() as connection:
        return rollouts.find(log.folded(connection, reports_of=[]), wanted).id


def entries_of(connection: Connection, events: Sequence[Event]) -> list[LogEntry]:
    models = {FLEET: ""}
    for number in {event.rollout for event in events} - models.keys():
        models[number] = counting.model_of(connection, number)
    return [
        LogEntry(
            id=event.id,
            at=event.at,
            rollout=event.rollout or None,
            model=models[event.rollout],
            kind=event.body.kind,
            **line_of(event)._asdict(),
        )
        for event in events
    ]
