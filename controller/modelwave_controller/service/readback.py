"""Reads back what the broker retains, and makes due again what it should hold and does not.

The leader subscribes to its own retained messages. It compares them with the outbox:

    on each connect, and every few minutes    all of them: `missing` ones are noticed too
    while connected                           each that arrives, its own as well

differences.py decides what is done about each that differs. The broker may lose its retained
messages while the connection stands (a failover behind a balancer), and a service that hung may
publish something old when it goes on.

If probes came back over a connection, LEFT_LOOKS in a row bring none any more, and no report comes
either, the connection is left: its node has probably lost the cluster, or the subscriptions. While
reports come, the probe is somewhere behind them.

Nothing is sent over a new connection before its first look (`may_send`): the database may be older
than what the broker holds. A broker that does not answer is waited for FIRST_SECONDS at most.

A look works like this: the leader subscribes (to read all) and publishes a probe to a topic of its
own. When the probe comes back, the broker has delivered what was due before it, and what arrived is
judged. Messages that the leader has sent since the look began are left for the next look, as their
echo may still be on its way. On a broker that does not keep the order a message may be published
once more than necessary; that is harmless. A look is given up QUIET_SECONDS after the last retained
message: after a connect the probe is behind those of all devices, which may take minutes.

The work is bounded: one look at a time, PAUSE_SECONDS between two of them, all messages at most
every READ_ALL_SECONDS and at most TOPICS_PER_SECOND on average, and MAX_NEWS differences a look.
"""

import functools
import hashlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from modelwave_controller.phrases import plural
from modelwave_controller.rollout.events import FLEET, FoundNewer
from modelwave_controller.service import differences
from modelwave_controller.service.connection import Connection
from modelwave_controller.service.differences import NOTHING, Seen
from modelwave_controller.service.trouble import Trouble
from modelwave_controller.storage import log, outbox
from modelwave_controller.storage.outbox import Message
from modelwave_controller.storage.store import Transactions
from modelwave_shared import topics

KINDS = ("desired", "root")  # the first levels of the topics that are read back
READ_ALL_SECONDS = 300
REFUSED_SECONDS = 5  # after which the broker is asked again that has refused; then twice that
TOPICS_PER_SECOND = 20
PAUSE_SECONDS = 1
QUIET_SECONDS = 30  # without such a message: then no probe comes back any more
# So long a look waits for its probe behind retained messages: 100,000 devices' take some minutes. A
# broker that marks each message as retained would keep it open for ever.
LONGEST_SECONDS = 900
FIRST_SECONDS = 5  # the same, for the messages that wait for the first look
LEFT_LOOKS = 2
MAX_NEWS = 10_000
MAX_DOUBLINGS = 10
LATE = (
    "retained messages are not read back now: the answer is late, as the reports of devices come "
    "before it"
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Look:
    """A look that waits for its probe."""

    number: int
    whole: bool  # it reads all messages

    @property
    def first(self) -> bool:
        """Whether it is the first look over its connection."""
        return self.number == 1


class ReadBack:
    """What is known of the broker's retained messages. The network thread calls `put`, the
    service's thread the rest."""

    def __init__(
        self,
        root: dict[str, Any],
        wake: Callable[[], None],
        clock: Callable[[], float],
        found_root: Callable[[int, bytes], None] = lambda _version, _data: None,
    ) -> None:
        """`root` is the fleet's newest root. `wake` is called when `step` has something to do;
        `clock` returns Unix seconds; `found_root` is told each root that the database does not
        hold: its version and its envelope, not verified."""
        self.root = root
        self.found_root = found_root
        self.fleet = str(root["fleet"])
        self.wake = wake
        self.clock = clock
        self.counts: Counter[str] = Counter()  # missing, changed, unknown; looks
        self._prefixes = tuple(topics.under(self.fleet, kind, "") for kind in KINDS)
        self._trouble = Trouble()
        self._lock = threading.Lock()
        self._start(None)

    def _start(self, connection: Connection | None) -> None:
        """Forgets what was known over the connection before."""
        with self._lock:
            self._connection = connection
            self._probe = probe_topic(self.fleet, connection.client_id if connection else "")
            self._expected: dict[str, str] = {}  # sha256 in hex of what we sent or hold; "": none
            self._news: dict[str, Seen] = {}  # what came last and is something else
            self._seen: set[str] = set()  # topics that came, of those in `_expected`
            self._heard_any = False  # over this connection
            self._sent: set[str] = set()  # topics that we sent since the look began
            self._look: Look | None = None
            self._answered = 0  # the number of the last probe that came back
            self._refused = False
            self._refusals = 0  # in a row
            self._unanswered = 0  # looks in a row, since a probe came back
            self._number = 0
            self._looked = False  # the first look is over
            self._begun = 0.0  # the look
            self._retained = 0  # messages over this connection
            self._last = self._last_heard = self._last_retained = time.monotonic()
            self._next_all = 0.0
            self._next_live = 0.0

    # Called in the network thread.

    def takes(self, topic: str) -> bool:
        """Returns whether a message on the topic is for `put`."""
        return topic.startswith(self._prefixes) or topic == self._probe

    def heard(self) -> None:
        """Another message has come over the connection."""
        self._last_heard = time.monotonic()

    def put(self, topic: str, payload: bytes) -> None:
        digest = _digest(payload)
        with self._lock:
            self._last = time.monotonic()
            if topic == self._probe:
                self._answered = int(payload) if payload.isdigit() and len(payload) < 10 else 0
            elif not self._is_news(topic, payload, digest):
                return
        self.wake()

    def _is_news(self, topic: str, payload: bytes, digest: str) -> bool:
        expected = self._expected.get(topic)
        if expected is not None:
            self._heard_any = True
            if digest:
                self._seen.add(topic)
        if digest == (expected or ""):
            self._news.pop(topic, None)
            return False
        if topic not in self._news and len(self._news) >= MAX_NEWS:
            return False  # the next look at all messages finds it
        self._news[topic] = differences.seen(payload, digest)
        return True

    def _answer(self, connection: Connection, granted: bool) -> None:
        with self._lock:
            self._refused = self._refused or (not granted and connection is self._connection)
        self.wake()

    # Called in the service's thread.

    def sent(self, message: Message) -> None:
        """Notes that the message is sent now; call it before it is."""
        with self._lock:
            self._expected[message.topic] = _digest(message.payload)
            self._sent.add(message.topic)

    def may_send(self) -> bool:
        """Returns whether messages that are due may be sent over the connection of `step`. It is
        true also when no connection has stood for FIRST_SECONDS."""
        return self._looked or self._refused or self._is_quiet(FIRST_SECONDS)

    @property
    def has_looked(self) -> bool:
        """Whether the first look over the connection of `step` has ended."""
        return self._looked

    @property
    def _given_up_at(self) -> float:
        retained = min(self._last_retained, self._begun + LONGEST_SECONDS)
        return max(self._last, retained) + QUIET_SECONDS

    def _is_quiet(self, seconds: float) -> bool:
        return time.monotonic() - self._last > seconds

    def step(self, store: Transactions, connection: Connection) -> float:
        """Does what is due; returns the seconds after which it is to be called again if nothing
        wakes the service before. Raises StorageError."""
        if connection is not self._connection:
            self._start(connection)
        now = time.monotonic()
        if connection.retained_messages != self._retained:
            self._retained, self._last_retained = connection.retained_messages, now
        if self._look is None:
            self._begin(store, connection, now)
        elif self._refused or now > self._given_up_at:
            self._give_up(store, connection)
        elif self._answered == self._look.number:
            self._judge(store, connection)
        return self._wait(time.monotonic())

    def _wait(self, now: float) -> float:
        if self._look is not None:
            first = not self._looked and not self._is_quiet(FIRST_SECONDS)
            due = self._last + FIRST_SECONDS if first else self._given_up_at
            return max(0.0, due - now) + 0.1
        due = min(self._next_all, self._next_live) if self._news else self._next_all
        return max(0.0, due - now)

    def _begin(self, store: Transactions, connection: Connection, now: float) -> None:
        whole = now >= self._next_all
        if not whole and not (self._news and now >= self._next_live):
            return
        if whole:
            with store.read() as database:
                held = outbox.rows_under(database, self.fleet, KINDS)
        self._number += 1
        with self._lock:
            self._look = Look(self._number, whole)
            self._sent.clear()
            self._last = self._begun = now
            if whole:
                self._expected.update({topic: row.digest for topic, row in held.items()})
                self._seen.clear()
        self.counts["looks"] += 1
        if whole:
            filters = [prefix + "#" for prefix in self._prefixes] + [self._probe]
            connection.subscribe(filters, lambda granted: self._answer(connection, granted))
        connection.probe(self._probe, str(self._number).encode())

    def _judge(self, store: Transactions, connection: Connection) -> None:
        look = self._look
        assert look is not None
        self._refusals = self._unanswered = 0
        with self._lock:
            doubtful = {t: d for t, d in self._news.items() if t not in self._sent}
            if look.whole and (look.first or self._heard_any):
                for topic, digest in self._expected.items():
                    if digest and topic not in self._seen and topic not in self._sent:
                        doubtful.setdefault(topic, NOTHING)
        repaired = self._repair(store, connection, doubtful) if doubtful else 0
        with self._lock:
            for topic, seen in doubtful.items():
                if self._news.get(topic) == seen:
                    del self._news[topic]
            blind = look.whole and not self._heard_any and any(self._expected.values())
        self._end(look)
        if blind and not look.first:
            self._tell_blind("none of them arrives")
        elif self._heard_any and self._trouble.over():
            logger.info("retained messages are read back again")
        if repaired:
            self.wake()

    def _repair(
        self, store: Transactions, connection: Connection, doubtful: dict[str, Seen]
    ) -> int:
        """Makes due again, or clears, what differs, and notes newer orders than those of the
        database. Returns the number of topics that are due."""
        with store.write() as database:
            found = differences.judge(database, self.root, doubtful)
            outbox.unsend(database, found.due)
            epoch = self.root["epoch"]
            newer = [
                FoundNewer(model=model, seq=seq, epoch=epoch) for model, seq in found.newer.items()
            ]
            log.append(database, FLEET, self.clock(), newer)
        for version, envelope in found.roots.items():
            self.found_root(version, envelope)
        for topic in found.clear:
            clearing = Message(topic, 0, b"")
            self.sent(clearing)
            connection.send(clearing)
        self._tell(
            missing=sum(not doubtful[t].digest for t in found.due),
            changed=sum(bool(doubtful[t].digest) for t in found.due),
            unknown=len(found.clear),
        )
        return len(found.due)

    def _tell(self, **found: int) -> None:
        self.counts.update(found)
        total = sum(found.values())
        if total:
            details = ", ".join(f"{count} {what}" for what, count in found.items() if count)
            logger.warning(
                "the broker has lost or changed %s (%s): published again, or cleared",
                plural(total, "retained message"),
                details,
            )

    def _give_up(self, store: Transactions, connection: Connection) -> None:
        """Ends a look whose probe does not come back. It is not known then what the broker has, so
        after a connect everything is published again."""
        look = self._look
        assert look is not None
        if look.first:
            with store.write() as database:
                outbox.unsend_all(database, self.fleet)
            self.wake()
        is_silent = time.monotonic() - self._last_heard > QUIET_SECONDS
        if self._refused or is_silent or not self._answered:
            self._tell_blind("the broker refuses" if self._refused else "no answer arrives")
        else:
            self._trouble.say(LATE)
        refused, self._refused = self._refused, False
        self._end(look)
        if self._answered and not refused:
            self._unanswered += 1
            if is_silent:  # else a look at all would put all orders behind the reports, again
                self._next_all = min(self._next_all, time.monotonic() + REFUSED_SECONDS)
                if self._unanswered >= LEFT_LOOKS:
                    connection.leave()
        if refused:  # a cluster that has lost a node does that for a while
            soon = REFUSED_SECONDS << min(self._refusals, MAX_DOUBLINGS)
            self._next_all = min(self._next_all, time.monotonic() + soon)
            self._refusals += 1

    def _tell_blind(self, why: str) -> None:
        self._trouble.say(
            f"retained messages cannot be read back ({why}): allow the controller to read "
            "desired/#, root/# and controller/# of its fleet; until then it does not notice "
            "when the broker loses them, and publishes all at each connect"
        )

    def _end(self, look: Look) -> None:
        now = time.monotonic()
        self._look = None
        self._looked = True
        self._next_live = now + PAUSE_SECONDS
        if look.whole:
            seconds = max(READ_ALL_SECONDS, len(self._expected) / TOPICS_PER_SECOND)
            self._next_all = now + seconds


def probe_topic(fleet: str, client_id: str) -> str:
    """Returns the topic of the probes of one connection; nobody else uses it."""
    return topics.under(fleet, "controller", client_id)


@functools.lru_cache(maxsize=4)  # the messages of a wave are the same bytes
def _digest(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest() if payload else ""
