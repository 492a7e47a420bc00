"""Stores received messages in the database: a bounded inbox and one writer.

The receiving thread only puts messages into the inbox. The writer takes them out in batches of
MAX_BATCH, or of those that arrived within BATCH_SECONDS, and stores each batch in one
transaction: a commit for every message would be twenty times slower. A message is acknowledged
to the broker before it is stored, and a crash may lose it; devices repeat their reports. Those that
say nothing new are kept for a minute (repeats.py).

The inbox keeps the newest MAX_BACKLOG messages of each topic, so that a device that floods it
loses only its own messages, which are counted as ignored ones of it (storage/ignored.py), and
MAX_INBOX_BYTES in total. Where it drops the last message of a
topic, it notes the name, and what the broker retains there is read again (unheard.py).
"""

import contextlib
import gc
import logging
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence

from modelwave_controller.errors import StorageError
from modelwave_controller.phrases import plural
from modelwave_controller.service.allowance import Allowance
from modelwave_controller.service.folding import Folding
from modelwave_controller.service.journal import IgnoredJournal
from modelwave_controller.service.repeats import Repeats
from modelwave_controller.service.trouble import Trouble
from modelwave_controller.storage import admission, clock, intake, messages, metrics, proven
from modelwave_controller.storage.lease import LeaseLost
from modelwave_controller.storage.messages import Bad, Incoming, Present, Repeat
from modelwave_controller.storage.proven import NOTHING_ASKED, Policy
from modelwave_controller.storage.store import Transactions
from modelwave_shared.limits import MAX_REPORT_BYTES
from modelwave_shared.proofs import PROOF_BYTES

MAX_PAYLOAD_BYTES = MAX_REPORT_BYTES + PROOF_BYTES
MAX_BATCH = 1000
BATCH_SECONDS = 0.05
MAX_BACKLOG = 16
MAX_INBOX_BYTES = 64 * 2**20
MESSAGE_BYTES = 200  # approximate memory of a message in addition to its payload
MAX_DROPPED_TOPICS = 200_000  # whose names are kept: reports and presence of 100,000 devices
RETRY_SECONDS = (1, 2, 4, 8)

logger = logging.getLogger(__name__)


class Inbox:
    """Messages by topic, the oldest topic first. Any thread may put; only one thread takes."""

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        """`steady` returns seconds of a clock that nobody can set."""
        self.counts: Counter[str] = Counter()  # received, dropped
        self.bytes = 0
        self._steady = steady
        self._topics: OrderedDict[str, deque[bytes]] = OrderedDict()
        self._since: dict[str, float] = {}  # by topic: when the first message of `_topics` came
        self._taken_since: float | None = None  # the same, of what was taken and is not stored
        self._dropped: dict[str, None] = {}  # topics whose last message was dropped, in order
        self._crowded: Counter[str] = Counter()  # by topic: dropped, as more than MAX_BACKLOG came
        self._some = threading.Condition()

    def put(self, topic: str, payload: bytes) -> None:
        """Adds a message without waiting. One that is too long is cut, to save memory; it is
        refused when it is read."""
        payload = bytes(payload[: MAX_PAYLOAD_BYTES + 1])
        with self._some:
            self.counts["received"] += 1
            self._dropped.pop(topic, None)  # this message is newer
            backlog = self._topics.get(topic)
            if backlog is None:
                backlog = self._topics[topic] = deque()
                self._since[topic] = self._steady()
            if len(backlog) == MAX_BACKLOG:
                self._drop(backlog)
                if topic in self._crowded or len(self._crowded) < MAX_DROPPED_TOPICS:
                    self._crowded[topic] += 1
            backlog.append(payload)
            self.bytes += len(payload) + MESSAGE_BYTES
            while self.bytes > MAX_INBOX_BYTES:
                oldest, backlog = next(iter(self._topics.items()))
                self._drop(backlog)
                if not backlog:
                    del self._topics[oldest], self._since[oldest]
                    if len(self._dropped) < MAX_DROPPED_TOPICS:
                        self._dropped[oldest] = None
            self._some.notify()

    def take(self, limit: int, timeout: float) -> list[tuple[str, bytes]]:
        """Removes and returns up to `limit` messages, in order within a topic; [] if none arrived
        within `timeout` seconds."""
        with self._some:
            self._some.wait_for(lambda: self._topics, timeout)
            self._taken_since = self._waits_since()
            taken: list[tuple[str, bytes]] = []
            while self._topics and len(taken) < limit:
                topic, backlog = next(iter(self._topics.items()))
                while backlog and len(taken) < limit:
                    payload = backlog.popleft()
                    self.bytes -= len(payload) + MESSAGE_BYTES
                    taken.append((topic, payload))
                if not backlog:
                    del self._topics[topic], self._since[topic]
            return taken

    def take_dropped(self, limit: int) -> list[str]:
        """Removes and returns up to `limit` topics whose last message was dropped and that have had
        none since; [] while the inbox is more than half full."""
        with self._some:
            found: list[str] = []
            while self._dropped and len(found) < limit and self.bytes <= MAX_INBOX_BYTES // 2:
                found.append(topic := next(iter(self._dropped)))
                del self._dropped[topic]
            return found

    def take_crowded(self) -> Mapping[str, int]:
        """Returns how many messages were dropped since the last call, by topic, as more than
        MAX_BACKLOG waited there. They are topics of which messages were taken, or wait."""
        with self._some:
            found, self._crowded = self._crowded, Counter()
            return found

    def done(self) -> None:
        """Notes that what was taken is stored, or lost."""
        with self._some:
            self._taken_since = None

    def lag(self) -> float:
        """Returns for how many seconds the oldest message has waited to be stored; 0: none does.
        Of a topic that has had more than MAX_BACKLOG, it is the time since the first of them."""
        with self._some:
            found = (self._taken_since, self._waits_since())
            since = min((one for one in found if one is not None), default=None)
            return 0.0 if since is None else max(0.0, self._steady() - since)

    def _waits_since(self) -> float | None:
        return self._since[next(iter(self._topics))] if self._topics else None

    def __len__(self) -> int:
        with self._some:
            return sum(len(backlog) for backlog in self._topics.values())

    def _drop(self, backlog: deque[bytes]) -> None:
        self.bytes -= len(backlog.popleft()) + MESSAGE_BYTES
        self.counts["dropped"] += 1


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Python does not look for values that refer to each other in here. A batch makes tens of
    thousands that do not, and are gone at its end; to look through all of the process for that,
    several times in a batch, would take a fifth of its time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class Writer:
    """Stores the messages of the inbox, in a thread of its own."""

    def __init__(
        self,
        store: Transactions,
        fleet: str,
        inbox: Inbox,
        clock: Callable[[], float] = time.time,
        approves: bool = False,
        policy: Policy = NOTHING_ASKED,
        stored: Callable[[Sequence[Incoming]], None] = lambda _messages: None,
        repeats: Repeats | None = None,
        keep_days: int | None = 0,
    ) -> None:
        """`approves`: unknown devices do not count before the operator has approved them.
        `stored` is called with the messages of a batch that count; it must not block. Without
        `repeats` all messages are stored at once. `keep_days` as that of Folding; None: another
        process folds."""
        self.store = store
        self.fleet = fleet
        self.inbox = inbox
        self.clock = clock
        self.approves = approves
        self.policy = policy
        self.stored = stored
        self.repeats = repeats
        self.counts: Counter[str] = Counter()  # stored, bad, lost
        self._trouble = Trouble()
        self._ignored = IgnoredJournal()
        self._allowance = Allowance()
        self._folding = None if keep_days is None else Folding(store, keep_days)
        self._told_lost = 0
        self._told_from = 1  # number of dropped messages at which the next log line is due
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stores the remaining messages, then ends the thread."""
        self._stopping.set()
        self._thread.join()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def write_batch(self, timeout: float) -> int:
        """Takes a batch and stores it. Returns the number of its messages. `timeout` is in
        seconds."""
        batch = self.inbox.take(MAX_BATCH, timeout)
        if batch:
            with _uncollected():
                now = self.clock()
                read, dropped = self._read(batch, now), self._crowded()
                if read or dropped:
                    self._store(self._allowance.limited(read, now), dropped)
            self.inbox.done()
            self._tell_dropped()
        return len(batch)

    def _read(self, batch: Sequence[tuple[str, bytes]], now: float) -> list[Incoming]:
        """Returns the messages of the batch that are to be stored now."""
        repeats, found = self.repeats, []
        if repeats is None:
            read = (messages.understand(self.fleet, topic, payload) for topic, payload in batch)
            return [one for one in read if one is not None and not isinstance(one, Repeat)]
        repeats.begin()
        named = set()  # devices of which an earlier message is to be stored
        for topic, payload in batch:
            message = messages.understand(self.fleet, topic, payload, repeats.last_said)
            if message is None:
                continue
            is_first = message.device not in named
            if is_first and isinstance(message, Repeat | Present) and repeats.keeps(message, now):
                self.counts["stored"] += 1
                continue
            found.append(message.whole() if isinstance(message, Repeat) else message)
            named.add(message.device)
        return found

    def _crowded(self) -> list[Incoming]:
        """Returns what is noted of the devices that send more than is stored."""
        found = self.inbox.take_crowded().items()
        notes = (messages.dropped(self.fleet, *one, MAX_BACKLOG) for one in found)
        return [note for note in notes if note is not None]

    def _run(self) -> None:
        while not self._stopping.is_set():
            if 0 < self.write_batch(timeout=0.5) < MAX_BATCH:
                self._stopping.wait(BATCH_SECONDS)
            if self._folding:
                self._folding.step(time.monotonic())
            if self.repeats:
                self.repeats.flush()
        while self.write_batch(timeout=0):
            pass
        if self.repeats:
            self.repeats.flush(is_over=True)
        self._tell_lost()

    def _tell_dropped(self) -> None:
        """Logs the number of dropped messages each time that it has doubled, so that a flood of
        messages does not also flood the log. A device that sends too many is named by the line of
        its ignored messages."""
        dropped = self.inbox.counts["dropped"]
        if dropped >= self._told_from:
            self._told_from = 2 * dropped
            logger.warning(
                "%d messages dropped so far: a device sends too many, or the database is slow",
                dropped,
            )

    def _tell_lost(self) -> None:
        """Logs the number of messages lost since the last such line."""
        lost, self._told_lost = self.counts["lost"] - self._told_lost, self.counts["lost"]
        if lost:
            logger.error("%s lost; devices repeat their reports", plural(lost, "message"))

    def _store(self, incoming: list[Incoming], dropped: Sequence[Incoming]) -> None:
        for pause in (*RETRY_SECONDS, 0):
            try:
                with self.store.write() as connection:
                    now = self.clock()
                    admitted = admission.admitted(connection, incoming, self.approves, now)
                    counted = proven.judged(connection, admitted, self.policy)
                    kept = self.repeats.kept({m.device for m in counted}) if self.repeats else {}
                    stored = intake.store(connection, self.fleet, [*counted, *dropped], now, kept)
                    metrics.add_windows(connection, counted, clock.stored(connection).seconds)
            except LeaseLost:
                return  # the service that leads now receives what devices report
            except StorageError as error:
                self._trouble.say(f"{error}; devices' messages are not stored")
                self._stopping.wait(pause)
            else:
                self.counts["stored"] += len(incoming)
                if self.repeats:
                    self.repeats.learn(stored)
                self.stored(counted)
                self._ignored.tell(stored.ignored)
                self.counts["bad"] += sum(isinstance(message, Bad) for message in incoming)
                if self._trouble.over():
                    logger.info("devices' messages are stored again")
                    self._tell_lost()
                return
        self.counts["lost"] += len(incoming)
