"""`modelwave serve`: the parts put together.

    link     its own thread: receives into the inbox
    blocks   a link and a thread of its own: sends files to boards that have no HTTP
    writer   its own thread: from the inbox into the database
    ticker   its own thread: decides, and publishes what is due
    files    the event loop of the main thread

What fails for a reason that may pass (database, broker) is said when it begins and when it is
over (trouble.py), and tried again.
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
from modelwave_controller.service.tick import Issuer, Ticker
from modelwave_controller.service.trouble import Trouble
from modelwave_controller.service.writer import Inbox, Writer
from modelwave_controller.storage import outbox
from modelwave_controller.storage.store import Store
from modelwave_shared import topics

DEFAULT_TICK_SECONDS = 0.5
STOP_SECONDS = 5  # that a database which another process holds may keep it from its end

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ready:
    """What whoever started the service may want to know."""

    files_url: str
    broker: str


class Service:
    """Runs until `stop` is called, from any thread."""

    def __init__(
        self,
        home: Home,
        store: Store,
        tick_seconds: float = DEFAULT_TICK_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises OperatorError, TrustError if the home is not fit for a service."""
        self.home = home
        self.store = store
        self.tick_seconds = tick_seconds
        self.clock = clock
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
        """The root stays on its topic, for devices that have been away for long."""
        root = self.home.root
        topic = topics.under(root.fleet, "root", str(root.version))
        with self.store.write() as connection:
            if outbox.holds(connection, topic) != self.home.root_envelope:
                outbox.put(connection, [topic], self.home.root_envelope)

    def _loop(self, ticker: Ticker) -> None:
        due = 0.0
        while not self._stopping.is_set():
            if not (self.writer.alive and self.link.alive and self.blocks.alive):
                raise RuntimeError("a thread of the service has died; see its traceback above")
            self._wake.clear()
            ticks = time.monotonic() >= due
            try:
                if ticks:
                    while ticker.tick(self.clock()) and not self._stopping.is_set():
                        pass
                    due = time.monotonic() + self.tick_seconds
                self._publish()
                if ticks and self._trouble.over():
                    logger.info("the service goes on")
            except ModelwaveError as error:
                self._trouble.say(str(error))
                due = time.monotonic() + self.tick_seconds
            self._wake.wait(max(0.0, due - time.monotonic()))

    def _publish(self) -> None:
        """Marks what was acknowledged, sends what is due, as far as the window allows."""
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
