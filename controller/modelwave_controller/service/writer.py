"""Between the connection that receives and the database: a bounded inbox, one writer.

The receiving thread only puts messages into the inbox. The writer takes them out in
batches, MAX_BATCH at once or what has come within BATCH_SECONDS, and stores each batch in
one transaction: a commit for every message would be twenty times slower. The broker has
acknowledged a message before it is stored; one that is lost comes again, as devices repeat
their reports.

The inbox keeps the newest MAX_BACKLOG messages of a topic, so that whoever floods it loses
their own, and MAX_INBOX_BYTES in all.
"""

import logging
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable

from modelwave_controller.errors import StorageError
from modelwave_controller.phrases import plural
from modelwave_controller.service.trouble import Trouble
from modelwave_controller.storage import devices, messages, metrics
from modelwave_controller.storage.messages import Bad, Incoming
from modelwave_controller.storage.store import Store
from modelwave_shared.limits import MAX_REPORT_BYTES

MAX_BATCH = 1000
BATCH_SECONDS = 0.05
MAX_BACKLOG = 16
MAX_INBOX_BYTES = 64 * 2**20
MESSAGE_BYTES = 200  # what a message takes beside its payload, about
RETRY_SECONDS = (1, 2, 4, 8)

logger = logging.getLogger(__name__)


class Inbox:
    """Messages by topic, oldest topic first. Any thread may put, one takes."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()  # received, dropped
        self.bytes = 0
        self._topics: OrderedDict[str, deque[bytes]] = OrderedDict()
        self._some = threading.Condition()

    def put(self, topic: str, payload: bytes) -> None:
        """Never waits. What is too long to be read is cut, so that it does not lie here."""
        payload = bytes(payload[: MAX_REPORT_BYTES + 1])
        with self._some:
            self.counts["received"] += 1
            backlog = self._topics.setdefault(topic, deque())
            if len(backlog) == MAX_BACKLOG:
                self._drop(backlog)
            backlog.append(payload)
            self.bytes += len(payload) + MESSAGE_BYTES
            while self.bytes > MAX_INBOX_BYTES:
                oldest, backlog = next(iter(self._topics.items()))
                self._drop(backlog)
                if not backlog:
                    del self._topics[oldest]
            self._some.notify()

    def take(self, limit: int, timeout: float) -> list[tuple[str, bytes]]:
        """Up to `limit` messages, in order within a topic; [] if none came in time."""
        with self._some:
            self._some.wait_for(lambda: self._topics, timeout)
            taken: list[tuple[str, bytes]] = []
            while self._topics and len(taken) < limit:
                topic, backlog = next(iter(self._topics.items()))
                while backlog and len(taken) < limit:
                    payload = backlog.popleft()
                    self.bytes -= len(payload) + MESSAGE_BYTES
                    taken.append((topic, payload))
                if not backlog:
                    del self._topics[topic]
            return taken

    def __len__(self) -> int:
        with self._some:
            return sum(len(backlog) for backlog in self._topics.values())

    def _drop(self, backlog: deque[bytes]) -> None:
        self.bytes -= len(backlog.popleft()) + MESSAGE_BYTES
        self.counts["dropped"] += 1


class Writer:
    """Stores what the inbox holds, in a thread of its own."""

    def __init__(
        self, store: Store, fleet: str, inbox: Inbox, clock: Callable[[], float] = time.time
    ) -> None:
        self.store = store
        self.fleet = fleet
        self.inbox = inbox
        self.clock = clock
        self.counts: Counter[str] = Counter()  # stored, bad, lost
        self._trouble = Trouble()
        self._told_lost = 0
        self._told_from = 1  # dropped messages, from how many on that is told again
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stores what is there, then ends."""
        self._stopping.set()
        self._thread.join()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def write_batch(self, timeout: float) -> int:
        """Takes a batch and stores it; how many messages it had."""
        batch = self.inbox.take(MAX_BATCH, timeout)
        if batch:
            read = (messages.understand(self.fleet, topic, payload) for topic, payload in batch)
            self._store([message for message in read if message is not None])
            self._tell_dropped()
        return len(batch)

    def _run(self) -> None:
        while not self._stopping.is_set():
            if 0 < self.write_batch(timeout=0.5) < MAX_BATCH:
                self._stopping.wait(BATCH_SECONDS)
        while self.write_batch(timeout=0):
            pass
        self._tell_lost()

    def _tell_dropped(self) -> None:
        """Each time that they have doubled: a flood must not flood the log as well."""
        dropped = self.inbox.counts["dropped"]
        if dropped >= self._told_from:
            self._told_from = 2 * dropped
            logger.warning(
                "%d messages dropped so far: a device sends too many, or the database is slow",
                dropped,
            )

    def _tell_lost(self) -> None:
        """What was lost since this was told last."""
        lost, self._told_lost = self.counts["lost"] - self._told_lost, self.counts["lost"]
        if lost:
            logger.error("%s lost; devices repeat their reports", plural(lost, "message"))

    def _store(self, incoming: list[Incoming]) -> None:
        for pause in (*RETRY_SECONDS, 0):
            try:
                with self.store.write() as connection:
                    now = self.clock()
                    devices.store(connection, self.fleet, incoming, now)
                    metrics.add_windows(connection, incoming)
            except StorageError as error:
                self._trouble.say(f"{error}; what devices say is not stored")
                self._stopping.wait(pause)
            else:
                self.counts["stored"] += len(incoming)
                self.counts["bad"] += sum(isinstance(message, Bad) for message in incoming)
                if self._trouble.over():
                    logger.info("what devices say is stored again")
                    self._tell_lost()
                return
        self.counts["lost"] += len(incoming)
