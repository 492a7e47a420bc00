"""Reads what an alert is to tell next."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from sqlalchemy import Connection

from modelwave_controller.rollout import alerts
from modelwave_controller.rollout.alerts import Alert
from modelwave_controller.rollout.events import Event
from modelwave_controller.storage import log
from modelwave_controller.storage.log import Wanted

MAX_READ = 500  # events at a time
MAX_HISTORY = 1_000_000  # events of one rollout


class Events(NamedTuple):
    """The events to tell, of those up to id `until`, up to which they were read."""

    events: list[Event]
    until: int


class Found(NamedTuple):
    """The same as alerts."""

    alerts: list[Alert]
    until: int


def events(connection: Connection, on: Collection[str], after: int, until: int) -> Events:
    """Reads events with ids above `after` and not above `until`, at most MAX_READ of them."""
    found = log.of_kinds(connection, alerts.KINDS, after, until, MAX_READ)
    if len(found) == MAX_READ:
        until = found[-1].id
    return Events(alerts.wanted(found, on), until)


def read(connection: Connection, on: Collection[str], after: int, until: int) -> Found:
    found = events(connection, on, after, until)

    def history(rollout: int, last: int) -> Iterable[Event]:
        return log.page(connection, Wanted(rollout), 0, last, MAX_HISTORY)

    return Found([*alerts.alerts(found.events, history)], found.until)
