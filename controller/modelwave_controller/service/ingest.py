"""Runs the parts of `modelwave ingest`, which receives one share of the devices (share.py).

    share     own thread: takes the share when it is free, or waits; renews its lease (leader.py);
              reads one by one what the broker kept back; hands over what the leader must know
    link      own thread: receives all devices' messages, and drops those of other shares
    writer    own thread: stores messages from the inbox in the database, as a service that leads

A process that cannot renew its lease, as the database does not answer, or as it hung, leaves the
broker: another one may have the share by now. Both would take the session from each other again and
again, and this one could store nothing of what it received.

The first process of a share that was not there before has the broker forget the session: what is in
it was for a share of that number long ago, and was received by others since.

It decides nothing, signs nothing and publishes nothing. The broker keeps what comes while nobody
receives the share, in a session of the share's own, as far as it queues for one client; and it
retains each device's newest report. What was received and not stored yet, a kill loses, as in a
service that leads: devices repeat their reports.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence

from modelwave_controller.errors import ModelwaveError, OperatorError, StorageError
from modelwave_controller.home import Home
from modelwave_controller.service import leader
from modelwave_controller.service.broker_address import broker_of
from modelwave_controller.service.heartbeats import MAX_WAITING, asks_in
from modelwave_controller.service.leader import Candidate, LeaderStore
from modelwave_controller.service.link import ServiceLink
from modelwave_controller.service.probing import Probing
from modelwave_controller.service.readback import probe_topic
from modelwave_controller.service.repeats import Repeats
from modelwave_controller.service.serve import STOP_SECONDS, policy_of, steady_seconds
from modelwave_controller.service.share import Share, shares_of
from modelwave_controller.service.supervised import supervised
from modelwave_controller.service.trouble import Trouble
from modelwave_controller.service.unheard import Unheard
from modelwave_controller.service.vitals import Vitals
from modelwave_controller.service.writer import Inbox, Writer
from modelwave_controller.storage import handover, lease
from modelwave_controller.storage.handover import Ask, Handover
from modelwave_controller.storage.lease import LeaseLost, NoSeat
from modelwave_controller.storage.messages import Incoming
from modelwave_controller.storage.proven import OFF
from modelwave_controller.storage.store import Store
from modelwave_shared import supervisor

MAX_AGAIN = 5000  # devices in one row of what is handed over

logger = logging.getLogger(__name__)


class Ingest:
    """Receives a share of the devices until `stop` is called, which any thread may do."""

    def __init__(
        self, home: Home, store: Store, number: int, clock: Callable[[], float] = time.time
    ) -> None:
        """`number`: of the share, from 1 on. Raises OperatorError if a setting is wrong."""
        shares = shares_of(home)
        if not shares:
            raise OperatorError(
                "ingest.processes in controller.toml is 0, so `modelwave serve` receives all "
                "devices: set the number of processes, and start it again"
            )
        if not 1 <= number <= shares:
            raise OperatorError(f"SHARE: give 1 to {shares}, as ingest.processes is {shares}")
        self.share = Share(number, shares)
        self.home = home
        self.store = store
        self.clock = clock
        self.broker = broker_of(home)
        self.policy = policy_of(home)
        self.vitals = Vitals(does=f"receives {self.share}")
        self.candidate = Candidate(store, clock, seat=self.share.seat)
        self.wake = threading.Event()
        self.stopping = threading.Event()
        self._waits = Trouble()
        self._trouble = Trouble()

    def stop(self) -> None:
        supervisor.tell(supervisor.STOPPING)
        self.store.hurry(STOP_SECONDS)
        self.stopping.set()
        self.wake.set()

    async def run(self, ready: Callable[[bool], None]) -> None:
        """`ready` is called with whether it receives the share, at first and when that changes."""
        async with supervised(self.vitals):
            await asyncio.to_thread(self._loop, ready)

    def _loop(self, ready: Callable[[bool], None]) -> None:
        told: bool | None = None
        while not self.stopping.is_set():
            store = self._try_to_receive()
            if told is not (store is not None):
                told = store is not None
                ready(told)
            if store is None:
                self.stopping.wait(leader.LOOK_SECONDS)
                continue
            try:
                Receiving(self, store).run()
            except LeaseLost as error:
                self.candidate.lost()
                logger.warning("%s: this process stores nothing any more", error)

    def _try_to_receive(self) -> LeaderStore | None:
        store, database = None, True
        try:
            store = self.candidate.try_to_lead()
        except NoSeat as error:
            self._waits.say(
                f"{error}, as ingest.processes says here: waiting until it does (`modelwave "
                "serve` takes the setting when it is started)"
            )
        except StorageError as error:
            database = False
            self._trouble.say(str(error))
        else:
            if self._trouble.over():
                logger.info("the database answers again")
            if store is not None:
                self._waits.over()
                logger.info("this process receives %s: %s", self.share, self.candidate.why)
            elif self.candidate.other is not None:
                who = lease.described(self.candidate.other)
                self._waits.say(f"standing by: {who} receives {self.share}", logging.INFO)
        self.vitals.came_round(database, broker=False, leads=False)
        return store


class Receiving:
    """The parts, from when the process takes the share until it loses it or ends."""

    def __init__(self, ingest: Ingest, store: LeaderStore) -> None:
        fleet, share = ingest.home.config.fleet, ingest.share
        self.ingest = ingest
        self.store = store
        self.share = share
        self.inbox = Inbox()
        self.repeats = Repeats(store, steady_seconds)
        self.writer = Writer(
            store,
            fleet,
            self.inbox,
            ingest.clock,
            ingest.home.config.devices.approves,
            ingest.policy,
            self._stored,
            self.repeats if ingest.policy.proof == OFF else None,
            keep_days=None,
        )
        ingest.vitals.figures.inbox = self.inbox
        ingest.vitals.figures.writes = self.writer.counts
        session = share.session(fleet)
        self.probing = Probing(probe_topic(fleet, session))
        self.link = ServiceLink(
            ingest.broker,
            fleet,
            self._receive,
            ingest.wake.set,
            notes_heard=True,
            session=session,
            wants=self._wants,
            may_stay=lambda: not store.may_be_lost,
            forgets=store.is_first,
        )
        self.unheard = Unheard(fleet, ingest.wake.set, share.has, self.inbox.take_dropped)
        self._asks: dict[str, Ask] = {}
        self._lock = threading.Lock()  # of _asks
        self._trouble = Trouble()

    def run(self) -> None:
        """Receives until the process stops. Raises LeaseLost when another one receives the share,
        and RuntimeError if one of its threads has ended."""
        self.writer.start()
        self.link.start()
        try:
            self._loop()
        finally:
            self.link.stop()
            self.writer.stop()
            with contextlib.suppress(ModelwaveError):  # then it expires
                self.store.give_back(self.ingest.clock())

    def _wants(self, topic: str) -> bool:
        return self.share.wants(topic) or topic == self.probing.topic

    def _receive(self, topic: str, payload: bytes) -> None:
        if self.probing.came(topic, payload):
            self.ingest.wake.set()
        else:
            self.inbox.put(topic, payload)

    def _stored(self, messages: Sequence[Incoming]) -> None:
        with self._lock:
            for device, ask in asks_in(messages):
                if len(self._asks) < MAX_WAITING:
                    self._asks[device] = ask

    def _loop(self) -> None:
        ingest = self.ingest
        while not ingest.stopping.is_set():
            if not (self.writer.alive and self.link.alive):
                raise RuntimeError("a thread of the process has ended; see its traceback above")
            ingest.wake.clear()
            pause, database = leader.RENEW_SECONDS, True
            try:
                self.store.note_link(self.link.reaches)
                self._look()
                pause = self._renew()
                self._trouble.over()
            except LeaseLost:
                raise
            except ModelwaveError as error:
                self._trouble.say(str(error))
                database = False
            ingest.vitals.came_round(database, self.link.reaches, leads=True)
            ingest.wake.wait(pause)

    def _look(self) -> None:
        """Finds out what the broker kept back, and whether the connection still brings anything."""
        connection = self.link.current
        if connection is None:
            return
        self.probing.step(connection)
        self.unheard.step(self.store, connection, self.probing.has_looked)

    def _renew(self) -> float:
        """Renews the lease if that is due, and hands over with it what the leader must know.
        Returns the seconds until it is due again."""
        if self.store.is_due:
            with self._lock:
                asks, self._asks = self._asks, {}
            again = self.repeats.heard_again(MAX_AGAIN)
            with self.store.write() as connection:
                if asks or again:
                    handover.put(connection, Handover(asks, again))
        return self.store.renew()
