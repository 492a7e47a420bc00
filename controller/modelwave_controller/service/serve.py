"""Runs the parts of `modelwave serve`.

    files    event loop of the main thread: serves files over HTTP, also while it stands by
    leader   own thread: takes the lease, or waits until it may (leader.py)
    leading  in that thread, and others: the parts that run only while it leads (leading.py)

Temporary failures (database, broker) are retried, and logged when they begin and when they are
over (trouble.py).
"""

import asyncio
import contextlib
import functools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from modelwave_controller.errors import StorageError
from modelwave_controller.home import Home
from modelwave_controller.releases import delta_files
from modelwave_controller.service import files, leader
from modelwave_controller.service.alerting import require_alerts
from modelwave_controller.service.broker_address import broker_of
from modelwave_controller.service.files import AddressInUse, FileServer
from modelwave_controller.service.leader import Candidate, LeaderStore
from modelwave_controller.service.leading import Leading, Settings
from modelwave_controller.service.reach import Reach
from modelwave_controller.service.roots_in_use import RootsInUse
from modelwave_controller.service.sending import Issuer
from modelwave_controller.service.share import shares_of
from modelwave_controller.service.supervised import supervised
from modelwave_controller.service.trouble import Trouble
from modelwave_controller.service.vitals import Vitals
from modelwave_controller.service.writer import Inbox
from modelwave_controller.storage import lease, shares
from modelwave_controller.storage.lease import LeaseLost
from modelwave_controller.storage.open_file import DatabaseGone
from modelwave_controller.storage.proven import NOTHING_ASKED, OFF, Policy
from modelwave_controller.storage.store import Store
from modelwave_controller.tracing.sender import Sender, sender
from modelwave_shared import supervisor

DEFAULT_TICK_SECONDS = 0.5
STOP_SECONDS = 5  # longest wait, when stopping, for another process that writes the database

logger = logging.getLogger(__name__)


def steady_seconds() -> float:
    """Returns seconds of a clock that nobody can set. Where the system has one, it also counts the
    time that the machine slept: otherwise the wall clock would seem to have jumped."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


@dataclass(frozen=True)
class Ready:
    """What a service tells its caller when it has started, and each time that it begins or ends to
    lead."""

    files_url: str
    broker: str
    leads: bool  # False: it stands by


class Service:
    """The service of one home; it runs until `stop` is called, which any thread may do."""

    def __init__(
        self,
        home: Home,
        store: Store,
        tick_seconds: float = DEFAULT_TICK_SECONDS,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = steady_seconds,
    ) -> None:
        """Raises OperatorError or TrustError if a setting or key of the home is wrong."""
        self.home = home
        self.store = store
        self.tick_seconds = tick_seconds
        self.clock = clock
        self.steady = steady
        self.key = home.order_key()
        self.broker = broker_of(home)
        self.policy = policy_of(home)
        require_alerts(home)
        self.inbox = Inbox()
        self.vitals = Vitals()
        self.reach = Reach(self.broker, home.config.fleet)
        self.shares = shares_of(home)
        self.sender = sender_of(home)
        self.candidate = Candidate(
            store,
            clock,
            reaches=self.reach.look,
            taken=lambda connection: shares.divide(connection, self.shares, clock()),
        )
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._stands_by = Trouble()
        self._trouble = Trouble()
        self._tell: Callable[[bool], None] = lambda _leads: None

    def stop(self) -> None:
        supervisor.tell(supervisor.STOPPING)
        self.store.hurry(STOP_SECONDS)
        self._stopping.set()
        self._wake.set()

    async def run(self, ready: Callable[[Ready], None]) -> None:
        settings = self.home.config.files
        told = settings.urls or [files.url_of(*settings.address)]
        if doubt := files.doubt(told, self.broker.host):
            logger.warning("%s", doubt)
        for warning in self.home.warnings():
            logger.warning("%s", warning)
        async with contextlib.AsyncExitStack() as stack:
            files_url = await self._serve_files(stack)
            first = await asyncio.to_thread(self._try_to_lead)
            broker = self.broker.described
            self._tell = lambda leads: ready(Ready(files_url, broker, leads))
            self._tell(first is not None)
            await stack.enter_async_context(supervised(self.vitals))
            await asyncio.to_thread(self._loop, first, settings.urls or [files_url])

    async def _serve_files(self, stack: contextlib.AsyncExitStack) -> str:
        """Starts the file server until the end of `stack`, and returns its URL. If the service that
        leads has the same address, on the same machine, this one listens when it is free."""
        address = self.home.config.files.address
        try:
            return await self._listen(stack)
        except AddressInUse:
            with self.store.read() as connection:
                if lease.holder(connection) is None:
                    raise
        logger.info("the service that leads serves files at this address; waiting until it is free")
        waiting = asyncio.create_task(self._listen_later(stack))
        stack.callback(waiting.cancel)
        return files.url_of(*address)

    async def _listen(self, stack: contextlib.AsyncExitStack) -> str:
        server = FileServer(self.home.files, self.vitals)
        url = await server.start(*self.home.config.files.address)
        stack.push_async_callback(server.stop)
        return url

    async def _listen_later(self, stack: contextlib.AsyncExitStack) -> None:
        while True:
            await asyncio.sleep(leader.LOOK_SECONDS)
            with contextlib.suppress(AddressInUse):
                logger.info("files are served at %s", await self._listen(stack))
                return

    def _loop(self, first: LeaderStore | None, urls: list[str]) -> None:
        """Leads, or stands by, until the service stops; `first` is set if it leads already."""
        issuer = Issuer(
            self.home.root_document,
            self.key,
            urls,
            self.home.manifest_at,
            functools.partial(delta_files.offers, self.home),
        )
        settings = Settings(
            home=self.home,
            broker=self.broker,
            roots=RootsInUse(self.home, issuer),
            tick_seconds=self.tick_seconds,
            clock=self.clock,
            steady=self.steady,
            inbox=self.inbox,
            policy=self.policy,
            stopping=self._stopping,
            wake=self._wake,
            vitals=self.vitals,
            shares=self.shares,
            sender=self.sender,
        )
        store = first
        try:
            while store is not None or not self._stopping.is_set():
                if store is not None:
                    self._lead(settings, store)
                else:
                    self._stopping.wait(leader.LOOK_SECONDS)
                store = None if self._stopping.is_set() else self._try_to_lead()
                if store is not None:
                    self._tell(True)
        finally:
            self.reach.stop()

    def _try_to_lead(self) -> LeaderStore | None:
        try:
            store = self.candidate.try_to_lead()
        except DatabaseGone as error:
            raise DatabaseGone(
                f"{error} while this service stood by: start `modelwave serve` again when it is "
                "in its place; the one that leads has saved it, if it was deleted"
            ) from error
        except StorageError as error:
            self.vitals.came_round(database=False, broker=False, leads=False)
            self._trouble.say(str(error))
            return None
        self.vitals.came_round(database=True, broker=False, leads=False)
        if self._trouble.over():
            logger.info("the database answers again")
        if store is not None:
            self._stands_by.over()
            logger.info("this service leads now: %s", self.candidate.why)
        elif self.candidate.other is not None:
            who = lease.described(self.candidate.other)
            self._stands_by.say(
                f"standing by: {who} leads; this service takes over when that one ends",
                logging.INFO,
            )
        return store

    def _lead(self, settings: Settings, store: LeaderStore) -> None:
        try:
            Leading(settings, store).run()
        except LeaseLost as error:
            self.candidate.lost()
            logger.warning("%s: this one publishes and stores nothing any more", error)
            self._tell(False)
        except DatabaseGone as error:
            raise DatabaseGone(f"{error} while it was in use; {self.store.keep()}") from error


def sender_of(home: Home) -> Callable[[], Sender] | None:
    """Returns what makes the sender of traces; None if the settings want none. Raises
    OperatorError."""
    if not home.config.tracing.endpoint:
        return None
    make = functools.partial(sender, home.config.tracing, home.path, home.config.fleet)
    make().stop()  # so that a wrong setting ends the service before it begins
    return make


def policy_of(home: Home) -> Policy:
    """Returns what the settings ask of reports and windows. Raises OperatorError."""
    proof = home.config.devices.proof
    return NOTHING_ASKED if proof == OFF else Policy(proof, home.report_master())
