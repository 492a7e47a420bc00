"""Stores the rollout clock, and the operator's word that the wall clock is right.

It is stored every few seconds, with each decision of a rollout, so that nobody is shown a time
before it, and with each change of a doubt; between that it is in memory. A service that is killed
loses these seconds of a soak, no more.
"""

from typing import NamedTuple

from sqlalchemy import Connection, select, update

from modelwave_controller.rollout.clock import Reading, advanced
from modelwave_controller.storage.tables import clock, events

STORED_SECONDS = 5


class Stored(NamedTuple):
    """The row of the table `clock`."""

    seconds: float
    wall: float
    doubt: str
    doubt_event: int
    accepts: int
    accepted: str
    accepted_at: float
    accepted_event: int


class Keeper:
    """The rollout clock of one service."""

    def __init__(self) -> None:
        self._last: Reading | None = None
        self._steady = 0.0
        self._accepts = 0
        self._doubt_event = 0
        self._stored_at = 0.0  # by the rollout clock

    def advance(self, connection: Connection, wall: float, steady: float) -> Reading:
        """Returns the reading of a tick, and stores it if that is due. `wall` is in Unix seconds,
        `steady` in seconds of a clock that cannot be set; `connection` is from Store.write()."""
        row, last = stored(connection), self._last
        first = last is None
        if last is None or row.accepts != self._accepts:
            last = Reading(max(row.seconds, last.seconds if last else 0.0), row.wall, row.doubt)
        passed = None if first else steady - self._steady
        newest = self._newest(connection, row, first, bool(last.doubt))
        found = advanced(last, wall, passed, newest)
        if found.doubt and not last.doubt:
            self._doubt_event = _newest_id(connection) if first else 0
        due = found.seconds >= self._stored_at + STORED_SECONDS
        self._last, self._steady, self._accepts = found, steady, row.accepts
        if first or due or found.doubt != last.doubt:
            self.store(connection)
        return found

    def store(self, connection: Connection) -> None:
        """Stores the reading of the last tick."""
        assert self._last is not None, "there was a tick"
        values = self._last._asdict()
        connection.execute(update(clock).values(**values, doubt_event=self._doubt_event))
        self._stored_at = self._last.seconds

    def _newest(self, connection: Connection, row: Stored, first: bool, doubted: bool) -> float:
        """Returns the time of the newest event that the wall clock must not be behind, in Unix
        seconds; 0 for none. Events that were written under a doubtful clock do not count."""
        if doubted:
            self._doubt_event = row.doubt_event if first else self._doubt_event
            return _newest_event(connection, row.accepted_event, self._doubt_event)
        return _newest_event(connection, row.accepted_event) if first else 0.0


def stored(connection: Connection) -> Stored:
    columns = [clock.c[name] for name in Stored._fields]
    return Stored(*connection.execute(select(*columns)).one())


def shown(row: Stored, seen_at: float, now: float) -> float:
    """Returns the seconds of the rollout clock for people: the stored ones, and what has passed
    since a service was seen at `seen_at`, at most STORED_SECONDS. Times are in Unix seconds."""
    return row.seconds + min(max(0.0, now - seen_at), STORED_SECONDS)


def accept(connection: Connection, now: float, reason: str) -> None:
    """Notes that the wall clock, which shows `now`, is right."""
    connection.execute(
        update(clock).values(
            wall=now,
            doubt="",
            accepts=clock.c.accepts + 1,
            accepted=reason,
            accepted_at=now,
            accepted_event=_newest_id(connection),
        )
    )


def _newest_event(connection: Connection, after: int, until: int | None = None) -> float:
    """Returns the time, in Unix seconds, of the newest event with an id above `after` and not above
    `until`; 0 if there is none."""
    newest = select(events.c.at).where(events.c.id > after)
    if until is not None:
        newest = newest.where(events.c.id <= until)
    return connection.scalar(newest.order_by(events.c.id.desc()).limit(1)) or 0.0


def _newest_id(connection: Connection) -> int:
    newest = select(events.c.id).order_by(events.c.id.desc()).limit(1)
    return connection.scalar(newest) or 0
