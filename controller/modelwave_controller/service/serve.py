"""Runs the parts of `modelwave serve`.

    link     own thread: receives messages into the inbox
    blocks   own link and thread: sends files to boards without HTTP
    writer   own thread: stores messages from the inbox in the database
    ticker   own thread: decides about rollouts, and publishes messages that are due
    files    event loop of the main thread: serves files over HTTP

Temporary failures (database, broker) are retried, and logged when they begin and when they are
over (trouble.py).
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from modelwave_controller.errors import ModelwaveError
from modelwave_controller.home import Home
from modelwave_controller.service import files
from modelwave_controller.service.blocks import Blocks
from modelwave_controller.service.files import FileServer
from modelwave_controller.service.link import WINDOW, Connection, ServiceLink, broker_of
from modelwave_controller.service.sending import Issuer
from modelwave_controller.service.tick import Ticker
from modelwave_controller.service.trouble import Trouble
from modelwave_controller.service.writer import Inbox, Writer
from modelwave_controller.storage import outbox
from modelwave_controller.storage.store import Store
from modelwave_shared import topics

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
    """The addresses of a service that has started, for its caller."""

    files_url: str
    broker: str


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
        self.inbox = Inbox()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self.writer = Writer(store, home.config.fleet, self.inbox, clock)
        broker = broker_of(home)
        self.link = ServiceLink(broker, home.config.fleet, self.inbox.put, self._wake.set)
        self.blocks = Blocks(broker, home.config.fleet, home.files)
        self._trouble = Trouble()

    def stop(self) -> None:
        self.store.hurry(STOP_SECONDS)
        self._stopping.set()
        self._wake.set()

    async def run(self, ready: Callable[[Ready], None]) -> None:
        settings = self.home.config.files
        told = settings.urls or [files.url_of(*settings.address)]
        if doubt := files.doubt(told, self.link.broker.host):
            logger.warning("%s", doubt)
        server = FileServer(self.home.files)
        files_url = await server.start(*settings.address)
        urls = settings.urls or [files_url]
        ticker = Ticker(self.store, Issuer(self.home.root, self.key, urls))
        self.publish_root()
        self.writer.start()
        self.link.start()
        self.blocks.start()
        try:
            ready(Ready(files_url, f"{self.link.broker.host}:{self.link.broker.port}"))
            await asyncio.to_thread(self._loop, ticker)
        finally:
            await asyncio.to_thread(self.blocks.stop)
            await asyncio.to_thread(self.link.stop)
            await asyncio.to_thread(self.writer.stop)
            await server.stop()

    def publish_root(self) -> None:
        """Publishes the root document as a retained message, for devices that were offline for
        long."""
        root = self.home.root
        topic = topics.under(root.fleet, "root", str(root.version))
        with self.store.write() as connection:
            if outbox.holds(connection, topic) != self.home.root_envelope:
                outbox.put(connection, [topic], self.home.root_envelope)

    def _loop(self, ticker: Ticker) -> None:
        due = 0.0
        while not self._stopping.is_set():
            if not (self.writer.alive and self.link.alive and self.blocks.alive):
                raise RuntimeError("a thread of the service has ended; see its traceback above")
            self._wake.clear()
            ticks = time.monotonic() >= due
            try:
                if ticks:
                    while self._tick(ticker) and not self._stopping.is_set():
                        pass
                    due = time.monotonic() + self.tick_seconds
                self._publish()
                if ticks and self._trouble.over():
                    logger.info("the service works again")
            except ModelwaveError as error:
                self._trouble.say(str(error))
                due = time.monotonic() + self.tick_seconds
            self._wake.wait(max(0.0, due - time.monotonic()))

    def _tick(self, ticker: Ticker) -> bool:
        return ticker.tick(self.clock(), self.steady())

    def _publish(self) -> None:
        """Marks acknowledged messages, and sends those that are due, at most WINDOW at a time."""
        connection = self.link.current
        if connection is None:
            return
        if connection.fresh:
            with self.store.write() as database:
                outbox.unsend_all(database, self.link.fleet)
            connection.fresh = False
        acknowledged = connection.acknowledged()
        if acknowledged:
            with self.store.write() as database:
                outbox.mark(database, [(m.topic, m.version) for m in acknowledged])
        self._send_due(connection)

    def _send_due(self, connection: Connection) -> None:
        busy = connection.on_their_way()
        if len(busy) <= WINDOW // 2:
            with self.store.read() as database:
                due = outbox.unsent(database, WINDOW - len(busy), busy)
            for message in due:
                connection.send(message)
