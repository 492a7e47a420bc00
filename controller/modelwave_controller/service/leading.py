"""Runs the parts of the service that work only while it leads.

    link     own thread: receives messages into the inbox
    blocks   own link and thread: sends files to boards without HTTP
    writer   own thread: stores messages from the inbox in the database
    ticker   the caller's thread: decides about rollouts
    publish  the caller's thread: sends messages that are due, reads back what the broker retains
    answer   the caller's thread: sends heartbeats to devices that have asked
    traced   own thread: sends traces of rollouts, if the settings want it
    old      the caller's thread: deletes what is older than the fleet keeps
    trouble  the caller's thread: notes that too many of a rollout's devices are in trouble
    alerts   own thread: tells people of what the log has

If ingest processes receive the devices (ingest.py), the link here does not, and the caller's thread
takes over what they hand over.

A service that stands by has none of them, and receives nothing from the broker: it would receive
the same messages, and storing one twice is not harmless (counters, events). When it takes over, it
connects, and the broker sends it all retained reports.

The lease is verified in each write, and before each batch of messages; a process that hung in a
batch does not go on with it. What was handed to the connection before the lease was lost, at most
WINDOW messages, is dropped with the connection; what the broker has received of it all the same,
the new leader sees and repairs (readback.py).
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from modelwave_controller.errors import KeyAwayError, ModelwaveError, StorageError
from modelwave_controller.home import Home
from modelwave_controller.service.alerting import Alerting
from modelwave_controller.service.blocks import Blocks
from modelwave_controller.service.broker_address import ServiceBroker
from modelwave_controller.service.connection import WINDOW, Connection
from modelwave_controller.service.heartbeats import Heartbeats
from modelwave_controller.service.in_trouble import TroubleWatch
from modelwave_controller.service.leader import LeaderStore
from modelwave_controller.service.link import HEARD, ServiceLink
from modelwave_controller.service.readback import ReadBack
from modelwave_controller.service.repeats import Repeats
from modelwave_controller.service.retention import Retention
from modelwave_controller.service.roots_in_use import RootsInUse
from modelwave_controller.service.taking_over import TakingOver
from modelwave_controller.service.tick import Ticker
from modelwave_controller.service.traced import Sends, Traced
from modelwave_controller.service.trouble import Trouble
from modelwave_controller.service.unheard import Unheard
from modelwave_controller.service.vitals import Vitals
from modelwave_controller.service.writer import Inbox, Writer
from modelwave_controller.storage import ahead, log, outbox
from modelwave_controller.storage.lease import LeaseLost
from modelwave_controller.storage.open_file import DatabaseGone
from modelwave_controller.storage.proven import OFF, Policy

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """What the parts work with, the same each time that a service leads."""

    home: Home
    broker: ServiceBroker
    roots: RootsInUse
    tick_seconds: float
    clock: Callable[[], float]  # Unix seconds
    steady: Callable[[], float]  # seconds of a clock that cannot be set
    inbox: Inbox
    policy: Policy
    stopping: threading.Event
    wake: threading.Event  # also set when `stopping` is
    vitals: Vitals = field(default_factory=Vitals)
    shares: int = 0  # of the devices, each with an ingest process; 0: all are received here
    sender: Callable[[], Sends] | None = None  # makes what takes the traces of rollouts


class Leading:
    """The parts of one service, from when it takes the lease until it loses it or ends."""

    def __init__(self, settings: Settings, store: LeaderStore) -> None:
        self.settings = settings
        self.store = store
        fleet = settings.home.config.fleet
        approves = settings.home.config.devices.approves
        self.repeats = Repeats(store, settings.steady)
        self.ticker = Ticker(store, settings.roots.issuer, self.repeats.heard_again)
        self.roots = settings.roots
        self.readback = ReadBack(
            self.roots.chain.newest, settings.wake.set, settings.clock, self.roots.found
        )
        self.heartbeats = Heartbeats()
        put = self.heartbeats.put
        self.writer = Writer(
            store,
            fleet,
            settings.inbox,
            settings.clock,
            approves,
            settings.policy,
            put,
            self.repeats if settings.policy.proof == OFF else None,
            settings.home.config.database.keep_days,
        )
        settings.vitals.figures.inbox = settings.inbox
        settings.vitals.figures.writes = self.writer.counts
        self.taking_over = TakingOver(store, self.heartbeats.ask, self.repeats.hear_again)
        self.retention = Retention(store, settings.home.config.database.keep_days)
        self.trouble_watch = TroubleWatch(store, settings.home.config)
        self.alerting = Alerting(settings.home, store, settings.clock)
        settings.vitals.figures.alerts = {one.settings.name: one for one in self.alerting.courses}
        self.link = ServiceLink(
            settings.broker,
            fleet,
            self._receive,
            settings.wake.set,
            heard=() if settings.shares else HEARD,
            notes_heard=not settings.shares,
        )
        self.unheard = Unheard(fleet, settings.wake.set, dropped=settings.inbox.take_dropped)
        self.blocks = Blocks(settings.broker, fleet, settings.home.files)
        self.traced = self._traced()
        self._signs = False
        self._awaited = False  # the broker's acknowledgement, before the next tick
        self._trouble = Trouble()

    def run(self) -> None:
        """Leads until the service stops. Raises LeaseLost when another service leads, DatabaseGone
        when the database is no longer where it was, and RuntimeError if one of its threads has
        ended."""
        self.writer.start()
        self.link.start()
        self.blocks.start()
        self.alerting.start()
        if self.traced is not None:
            self.traced.start()
        try:
            self._loop()
        except LeaseLost:
            self.link.stop(drop=True)
            raise
        finally:
            self.alerting.stop()
            if self.traced is not None:
                self.traced.stop()
            self.blocks.stop()
            self.link.stop()
            self.writer.stop()
            with contextlib.suppress(ModelwaveError):  # then it expires
                self.store.give_back(self.settings.clock())

    def _traced(self) -> Traced | None:
        if self.settings.sender is None:
            return None
        config, clock = self.settings.home.config, self.settings.clock
        sender, devices = self.settings.sender(), config.tracing.devices
        return Traced(self.store, config.fleet, devices, sender, clock)

    def _receive(self, topic: str, payload: bytes) -> None:
        if self.readback.takes(topic):
            self.readback.put(topic, payload)
        else:
            self.readback.heard()
            self.settings.inbox.put(topic, payload)

    def _loop(self) -> None:
        stopping, wake = self.settings.stopping, self.settings.wake
        due, published = 0.0, False
        while not stopping.is_set():
            if not (self.writer.alive and self.link.alive and self.blocks.alive):
                raise RuntimeError("a thread of the service has ended; see its traceback above")
            wake.clear()
            is_due = time.monotonic() >= due
            ticks = self._may_sign() and (is_due or self._goes_on())
            pause, database = self.settings.tick_seconds, True
            try:
                self.store.verify_file()
                if self.roots.look() or not published:
                    published = False
                    self._publish_roots()
                    published = True
                if ticks:
                    self._ticks(looks=is_due)
                    due = time.monotonic() + self.settings.tick_seconds
                # Another service that reaches the broker takes the lease if it is not (leader.py).
                self.store.note_link(self.link.reaches)
                pause = min(self._publish(), self.store.renew())
                if self.settings.shares:
                    self.taking_over.step(self.settings.clock())
                self._answer()
                self._delete_old()
                self._watch_trouble()
                if ticks and self._trouble.over():
                    logger.info("the service works again")
            except (LeaseLost, DatabaseGone):
                raise
            except ModelwaveError as error:
                self._trouble.say(str(error))
                database = not isinstance(error, StorageError)
                due = time.monotonic() + self.settings.tick_seconds
            self.settings.vitals.came_round(database, self.link.reaches, leads=True)
            if self._may_sign():
                pause = 0.0 if self._goes_on() else min(due - time.monotonic(), pause)
            wake.wait(max(0.0, pause))

    def _publish_roots(self) -> None:
        self.readback.root = self.roots.chain.newest
        self.roots.publish(self.store)
        self._note_running()

    def _ticks(self, looks: bool) -> None:
        """Ticks until nothing more is to be done, or the broker has to acknowledge what was
        decided: a tick meanwhile takes its time from the wave, and mostly finds nothing to do.
        Only the first tick looks at devices that reported, and only with `looks`: after a wave all
        of its devices report, while the broker still delivers it."""
        self._awaited = False
        while self._tick(looks) and not self.settings.stopping.is_set():
            looks = False
            self._publish()  # what was decided goes out before the next look at it
            if self._on_its_way():
                self._awaited = True
                break

    def _goes_on(self) -> bool:
        """Whether the broker has acknowledged what the last ticks left off for."""
        return self._awaited and not self._on_its_way()

    def _on_its_way(self) -> bool:
        connection = self.link.current
        return connection is not None and bool(connection.on_their_way())

    def _tick(self, looks: bool) -> bool:
        begun = time.perf_counter()
        try:
            return self.ticker.tick(self.settings.clock(), self.settings.steady(), looks)
        finally:
            self.settings.vitals.figures.ticks.add(time.perf_counter() - begun)

    def _delete_old(self) -> None:
        """Deletes some of what is older than the fleet keeps, while nothing is in doubt. The time
        is that of the last tick, which has looked whether the wall clock can be right."""
        if state := self.ticker.certain_state:
            self.retention.step(state, self.ticker.ticked_at, self.settings.steady())

    def _watch_trouble(self) -> None:
        if state := self.ticker.certain_state:
            self.trouble_watch.step(state, self.settings.clock(), self.settings.steady())

    def _note_running(self) -> None:
        """Lets the commands see that a service runs, while the first tick waits for the look."""
        with self.store.write() as database:
            log.note_tick(database, self.settings.clock())

    def _may_sign(self) -> bool:
        """Returns whether rollouts may be decided. Before the first look at what the broker
        retains, an order could get a number that the broker has already; the wait is that of
        `may_send`, also while the broker is not reached."""
        self._signs = self._signs or self.readback.may_send()
        return self._signs

    def _publish(self) -> float:
        """Marks acknowledged messages, repairs what the broker has lost, sends what is due, and
        reads what the broker kept back. Returns the seconds after which it is to be called again at
        the latest."""
        connection = self.link.current
        if connection is None:
            return self.settings.tick_seconds
        acknowledged = connection.acknowledged()
        if acknowledged:
            with self.store.write() as database:
                outbox.mark(database, [(m.topic, m.version) for m in acknowledged])
        pause = self.readback.step(self.store, connection)
        if self.readback.may_send():
            self._send_due(connection)
        self.unheard.step(self.store, connection, self.readback.has_looked)
        return pause

    def _answer(self) -> None:
        """Sends heartbeats to devices that have asked, while this service is sure that it leads."""
        connection, state = self.link.current, self.ticker.certain_state
        if connection and self.link.reaches and state is not None and len(self.heartbeats):
            issuer, now = self.ticker.issuer, self.settings.clock()
            with self.store.read() as database:
                self.store.verify(database)
            if not issuer.trouble and not issuer.key.look():  # else nothing can be signed now
                with contextlib.suppress(KeyAwayError):  # it has just gone; devices ask again
                    self.heartbeats.answer(issuer, state, now, connection.probe)

    def _send_due(self, connection: Connection) -> None:
        """Sends messages that are due, at most WINDOW at a time; none of a model of which the
        broker may hold a newer order."""
        busy = connection.on_their_way()
        if len(busy) <= WINDOW // 2:
            with self.store.read() as database:
                self.store.verify(database)
                but = ahead.not_surpassed(database, self.roots.issuer.root.epoch)
                due = outbox.unsent(database, WINDOW - len(busy), busy, but)
            with connection.burst():
                for message in due:
                    if not self.store.sure:
                        break  # the rest is sent after the next look at the lease
                    self.readback.sent(message)
                    connection.send(message)
