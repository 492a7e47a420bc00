"""Sends the traces of rollouts while this service leads.

It reads the event log after the fact, in a thread of its own: no decision waits for a collector,
and none is lost with it. How far it has come is in the database, so that another service, or this
one after a restart, goes on there. What was sent and not noted is sent again, with the same ids.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from typing import Protocol

from sqlalchemy import Connection

from modelwave_controller.errors import ModelwaveError
from modelwave_controller.rollout import traces
from modelwave_controller.rollout.events import FLEET, Event, Reported
from modelwave_controller.service.trouble import Trouble
from modelwave_controller.storage import log, traced
from modelwave_controller.storage.lease import LeaseLost
from modelwave_controller.storage.log import Wanted
from modelwave_controller.storage.open_file import DatabaseGone
from modelwave_controller.storage.store import Transactions
from modelwave_controller.tracing.span import Span

PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 60.0  # while the collector is away
STOP_SECONDS = 3.0
AGE_SECONDS = 86400.0  # what ended earlier is not sent: collectors do not take it
MAX_EVENTS = 2000  # that are read at a time
MAX_HISTORY = 1_000_000  # events of one rollout, without answers
MAX_SPANS = 500  # of a request

logger = logging.getLogger(__name__)


class Sends(Protocol):
    """tracing/sender.py's Sender."""

    def send(self, spans: Sequence[Span]) -> None: ...

    def stop(self) -> None: ...


class Traced:
    """The traces of one fleet; `devices` as in traces.spans."""

    def __init__(
        self,
        store: Transactions,
        fleet: str,
        devices: int,
        sender: Sends,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._devices = devices
        self._sender = sender
        self._clock = clock
        self._stopping = threading.Event()
        self._trouble = Trouble()
        self._thread = threading.Thread(target=self._run, name="traced", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._sender.stop()
        self._thread.join(STOP_SECONDS)

    def step(self) -> bool:
        """Sends the spans of the next events; returns whether there are more. Raises
        ModelwaveError; the same events are read again then."""
        with self._store.read() as connection:
            after, until = traced.cursor(connection), log.newest_id(connection)
            if after is None or after > until:  # the first time; or it is a restored database
                events = []
            else:
                events = log.page(connection, Wanted(answers=True), after, until, MAX_EVENTS)
            found = self._spans(connection, events, after or 0)
        more = len(events) == MAX_EVENTS
        if more:
            until = events[-1].id
        for begin in range(0, len(found), MAX_SPANS):
            self._sender.send(found[begin : begin + MAX_SPANS])
        if until != after:
            with self._store.write() as connection:
                traced.note(connection, until)
        return more

    def _spans(self, connection: Connection, events: list[Event], after: int) -> list[Span]:
        oldest = self._clock() - AGE_SECONDS
        found: list[Span] = []
        for rollout in sorted({event.rollout for event in events} - {FLEET}):
            answers = _answers(events, rollout)
            its = log.page(connection, Wanted(rollout), 0, events[-1].id, MAX_HISTORY)
            both = merge(its, answers, key=lambda event: event.id)
            found += traces.spans(self._fleet, both, after, self._devices)
        return [span for span in found if span.end >= oldest]

    def _run(self) -> None:
        pause = PAUSE_SECONDS
        while not self._stopping.is_set():
            more = False
            try:
                more = self.step()
                pause = PAUSE_SECONDS
                if self._trouble.over():
                    logger.info("traces are sent again")
            except (LeaseLost, DatabaseGone):
                return  # the service says it, and ends or stands by
            except ModelwaveError as error:
                if not self._trouble.begun:
                    self._trouble.say(f"traces are not sent, and are sent later: {error}")
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            except Exception:
                logger.exception("no more traces are sent until this service starts again")
                return
            if not more:
                self._stopping.wait(pause)


def _answers(events: list[Event], rollout: int) -> Iterator[Event]:
    for event in events:
        if event.rollout == rollout and isinstance(event.body, Reported):
            yield event
