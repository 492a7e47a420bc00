"""The course of one alert: reads what is new in the log after its cursor, and has it brought.

    1. A new alert begins at the log's newest event: it tells no history.
    2. Which events a message has is stored before it is brought, and that they were told after it.
       So nothing is lost when the service is killed, or another takes over. What was brought in
       between comes again, with the same id.
    3. A message that is not taken is tried again, after a time that grows to MAX_PAUSE_SECONDS, for
       GIVE_UP_SECONDS of the rollout clock. Then it is given up, and the log says so.
    4. At most `per_minute` messages are brought a minute. If more alerts wait than may be brought
       now, one message tells them all.
    5. What was older than MAX_AGE_SECONDS when the service began to lead is given up at once,
       unless the wall clock is in doubt. An alert of a day ago rings nobody's phone.

The wall clock is for the receiver's eyes: a jump of it neither ends nor delays a try.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy import Connection

from modelwave_controller.alerts.carrier import Carry
from modelwave_controller.alerts.outcome import NotSent
from modelwave_controller.alerts.settings import AlertSettings
from modelwave_controller.phrases import plural, span
from modelwave_controller.rollout.alert_message import Message, Place, message
from modelwave_controller.rollout.clock import Reading, advanced
from modelwave_controller.rollout.events import FLEET, AlertGivenUp
from modelwave_controller.service.leader import LeaderStore
from modelwave_controller.storage import alert_reading, alert_rows, clock, log
from modelwave_controller.storage.alert_rows import AlertRow

LOOK_SECONDS = 1.0
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 5.0, 900.0
GIVE_UP_SECONDS = MAX_AGE_SECONDS = 86400
MINUTE = 60.0
MAX_BEHIND = 1000  # events that it has read and the cursor is not behind

logger = logging.getLogger(__name__)


class Clocks(NamedTuple):
    """`wall` returns Unix seconds, `steady` seconds of a clock that nobody can set, `chance` a
    number from 0 to 1."""

    wall: Callable[[], float]
    steady: Callable[[], float]
    chance: Callable[[], float]


class _Due(NamedTuple):
    row: AlertRow
    message: Message
    number: int  # of alerts in it


class Course:
    """Use it in one thread. It begins when the service begins to lead."""

    def __init__(
        self,
        store: LeaderStore,
        settings: AlertSettings,
        place: Place,
        carry: Carry,
        clocks: Clocks,
    ) -> None:
        self.store = store
        self.settings = settings
        self.place = place
        self.carry = carry
        self.clocks = clocks
        self.sent = self.failed = self.given_up = self.waiting = 0  # since it begins
        self.tries = 0  # of the message under way, that have failed
        self._seen = 0  # up to which event there is nothing to tell
        self._begun = False
        self._brought: deque[float] = deque()  # when, in the last minute, by the steady clock

    async def step(self) -> float:
        """Brings the next message, if there is one; returns the seconds until the next step. Raises
        StorageError and LeaseLost."""
        found = self._next()
        if not isinstance(found, _Due):
            return found
        try:
            await self.carry(found.message, self.clocks.wall())
        except NotSent as error:
            return self._not_sent(found, error)
        self.sent += 1
        self.tries = 0
        self.waiting -= found.number
        self._brought.append(self.clocks.steady())
        self._store(
            found.row._replace(
                cursor=found.row.until,
                until=0,
                tries=0,
                sent=found.row.sent + 1,
                sent_at=self.clocks.wall(),
                error="",
            )
        )
        if found.row.tries:
            logger.info("alert %s is sent again", self.settings.name)
        return 0.0

    def _next(self) -> _Due | float:
        """Returns the message that is to be brought now, noted in the database; or for how long
        there is none."""
        with self.store.read() as connection:
            newest = log.newest_id(connection)
            if self._begun and newest == self._seen:
                return LOOK_SECONDS
            self.store.verify(connection)
            row = alert_rows.get(connection, self.settings.name)
        if row is None:
            with self.store.write() as connection:
                newest = log.newest_id(connection)
                row = alert_rows.begin(connection, self.settings.name, newest)
        if not self._begun:
            row = self._give_up_old(row, newest)
            self._begun = True
        return self._under_way(row) if row.until else self._new(row, newest)

    def _under_way(self, row: AlertRow) -> _Due | float:
        with self.store.read() as connection:
            told = self._read(connection, row.cursor, row.until).alerts
        self.waiting = max(self.waiting, len(told))
        self.tries = row.tries if told else 0
        if told:
            return _Due(row, message(self.place, told), len(told))
        self._store(row._replace(cursor=row.until, until=0, tries=0))  # the settings have changed
        return 0.0

    def _new(self, row: AlertRow, newest: int) -> _Due | float:
        with self.store.read() as connection:
            found = self._read(connection, max(row.cursor, self._seen), newest)
            seconds = clock.stored(connection).seconds
        self.waiting = len(found.alerts)
        if not found.alerts:
            self._seen = found.until
            if found.until - row.cursor > MAX_BEHIND:
                self._store(row._replace(cursor=found.until))
            return LOOK_SECONDS if found.until == newest else 0.0
        if wait := self._wait():
            return min(wait, LOOK_SECONDS)
        each = len(found.alerts) <= self.settings.per_minute - len(self._brought)
        told = found.alerts[:1] if each else found.alerts
        row = row._replace(until=told[-1].event, tries=0, since=seconds)
        self._store(row)
        return _Due(row, message(self.place, told), len(told))

    def _wait(self) -> float:
        """Returns in how many seconds one more message may be brought."""
        now = self.clocks.steady()
        while self._brought and self._brought[0] <= now - MINUTE:
            self._brought.popleft()
        full = len(self._brought) >= self.settings.per_minute
        return self._brought[0] + MINUTE - now if full else 0.0

    def _not_sent(self, due: _Due, error: NotSent) -> float:
        """Notes a try that has failed; returns the seconds until the next one."""
        self.failed += 1
        self.tries = due.row.tries + 1
        name, row, why = self.settings.name, due.row, str(error)
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(row.tries, 20), MAX_PAUSE_SECONDS)
        pause = max(pause * (0.5 + self.clocks.chance() / 2), error.later)
        if not row.tries:
            logger.warning("alert %s: %s; it is tried again for a day", name, why)
        row = row._replace(tries=self.tries, error=why, error_at=self.clocks.wall())
        with self.store.read() as connection:
            seconds = clock.stored(connection).seconds
        if seconds - row.since < GIVE_UP_SECONDS:
            self._store(row)
            return pause
        self.waiting -= due.number
        self._give_up(row, row.until, due.number, f"tried {self.tries} times, the last: {why}")
        self.tries = 0
        return 0.0

    def _give_up_old(self, row: AlertRow, newest: int) -> AlertRow:
        """Gives up what is too old, but for a message under way."""
        wall = self.clocks.wall()
        with self.store.read() as connection:
            kept = clock.stored(connection)
        last = Reading(kept.seconds, kept.wall, kept.doubt)
        if row.until or kept.doubt or advanced(last, wall, None).doubt:
            return row
        before, after = wall - MAX_AGE_SECONDS, row.cursor
        while after < newest:
            with self.store.read() as connection:
                found = self._read(connection, after, newest)
            old = [alert for alert in found.alerts if alert.at < before]
            if old:
                why = f"older than {span(MAX_AGE_SECONDS)} when the service began to lead"
                row = self._give_up(row, old[-1].event, len(old), why)
            if len(old) < len(found.alerts):
                break
            after = found.until
        return row

    def _give_up(self, row: AlertRow, until: int, number: int, why: str) -> AlertRow:
        name = self.settings.name
        logger.warning("alert %s: %s given up: %s", name, plural(number, "alert"), why)
        row = row._replace(cursor=until, until=0, tries=0, given_up=row.given_up + number)
        with self.store.write() as connection:
            alert_rows.store(connection, row)
            event = AlertGivenUp(alert=name, number=number, reason=why)
            log.append(connection, FLEET, self.clocks.wall(), [event])
        self.given_up += number
        return row

    def _read(self, connection: Connection, after: int, until: int) -> alert_reading.Found:
        return alert_reading.read(connection, self.settings.on, after, until)

    def _store(self, row: AlertRow) -> None:
        with self.store.write() as connection:
            alert_rows.store(connection, row)
