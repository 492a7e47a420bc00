"""A broker in memory, and the service's link and connection to it, in the place of those of
service/link.py and service/connection.py.

Of what the service has sent, and what is not acknowledged, a kill or a lost connection lets the
first part arrive, as TCP does it. An acknowledgement is lost with its connection.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

from modelwave_controller.service.link import HEARD
from modelwave_controller.storage.outbox import Message
from tests.histories.clock import Clock

LATENCY_SECONDS = 0.05
CONNECT_SECONDS = (0.2, 2.0)
DROPPED = 0.25  # of the bursts lose their connection, in a history with lost connections
MOST_DROPS = 6


class Troubles(NamedTuple):
    """What goes wrong beside the kills; one that fails is tried without each."""

    permutes: bool = True
    repeats: bool = True
    drops: bool = True


class Broker:
    """`retained` is what it holds; `sent` is told each order that it takes from the service."""

    def __init__(self, clock: Clock, retained: dict[str, bytes]) -> None:
        self.clock = clock
        self.retained = retained
        self.connection: Connection | None = None  # of the service
        self.deliver: Callable[[str, bytes], None] = lambda _topic, _payload: None  # to devices
        self.sent: Callable[[str, bytes], None] = lambda _topic, _payload: None

    def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        if retain and payload:
            self.retained[topic] = payload
        elif retain:
            self.retained.pop(topic, None)
        if payload:
            self.deliver(topic, payload)
        self.forward(topic, payload)

    def forward(self, topic: str, payload: bytes) -> None:
        """Hands a message to the service, if it has subscribed to the topic."""
        if self.connection is not None and self.connection.wants(topic):
            self.connection.receive(topic, payload)

    def subscribed(self, connection: "Connection", filters: Sequence[str]) -> None:
        for topic, payload in list(self.retained.items()):
            if matches(topic, filters):
                connection.receive(topic, payload)


def matches(topic: str, filters: Sequence[str]) -> bool:
    """A filter may end with a wildcard."""
    return any(f == topic or (f[-1] in "+#" and topic.startswith(f[:-1])) for f in filters)


class Link:
    """Keeps the service connected. `passes` is called before and after each publish."""

    alive = True

    def __init__(
        self,
        broker: Broker,
        random: Random,
        troubles: Troubles,
        receive: Callable[[str, bytes], None],
        wake: Callable[[], None],
        passes: Callable[[str], None],
    ) -> None:
        self.broker, self.clock, self.random = broker, broker.clock, random
        self.receive, self.wake, self.passes = receive, wake, passes
        self.drops = MOST_DROPS if troubles.drops else 0
        self.is_dead = False
        self.current: Connection | None = None
        self.connect_later()

    @property
    def reaches(self) -> bool:
        return self.current is not None

    def connect_later(self) -> None:
        self.clock.later(self.random.uniform(*CONNECT_SECONDS), self._connect)

    def die(self) -> None:
        """The process of the service is killed."""
        self.is_dead = True
        if self.current is not None:
            self.current.lose()

    def _connect(self) -> None:
        if not self.is_dead:
            self.current = Connection(self)
            self.wake()


class Connection:
    heard = None  # this broker keeps nothing back
    retained_messages = 0  # it brings them long before a look is given up
    burst = staticmethod(contextlib.nullcontext)

    def __init__(self, link: Link) -> None:
        self.link, self.broker, self.clock = link, link.broker, link.clock
        self.client_id = f"CONTROLLER-{link.random.randrange(10**6)}"
        self._filters: list[str] = []
        self._packets: deque[Callable[[], None]] = deque()  # that are on their way to the broker
        self._sent: deque[Message] = deque()
        self._acked: list[Message] = []
        self._is_lost = False
        self.broker.connection = self
        self._hear([topic("meadow", "+") for topic in HEARD])

    # What the service calls.

    def send(self, message: Message) -> None:
        self.link.passes("before a publish")
        self._sent.append(message)
        self._put(lambda: self._arrives(message))
        self.link.passes("after a publish")

    def probe(self, topic: str, payload: bytes) -> None:
        self._put(lambda: self.broker.publish(topic, payload, False))

    def subscribe(self, filters: Sequence[str], then: Callable[[bool], None]) -> None:
        self._put(lambda: (self._hear(filters), then(True)))  # type: ignore[func-returns-value]

    def on_their_way(self) -> set[str]:
        return {message.topic for message in (*self._sent, *self._acked)}

    def acknowledged(self) -> list[Message]:
        found, self._acked = self._acked, []
        return found

    # What the broker and the network do.

    def wants(self, topic: str) -> bool:
        return matches(topic, self._filters)

    def receive(self, topic: str, payload: bytes) -> None:
        if not self._is_lost:
            self.link.receive(topic, payload)

    def lose(self) -> None:
        """Of what is on its way a first part arrives, and no acknowledgement comes any more."""
        arriving = self.link.random.randint(0, len(self._packets))
        self._is_lost = True
        self.broker.connection = None
        self.link.current = None
        for _ in range(arriving):
            self._packets.popleft()()
        self._packets.clear()

    def _hear(self, filters: Sequence[str]) -> None:
        if not self._is_lost:
            self._filters += filters
            self.broker.subscribed(self, filters)

    def _put(self, packet: Callable[[], None]) -> None:
        if not self._packets:
            self.clock.later(LATENCY_SECONDS, self._flow)
        self._packets.append(packet)

    def _flow(self) -> None:
        if self._is_lost:
            return
        if self._sent and self.link.drops and self.link.random.random() < DROPPED:
            self._break()
            return
        while self._packets:
            self._packets.popleft()()
        self.link.wake()

    def _break(self) -> None:
        """The connection is lost, and every acknowledgement that the service has not looked at."""
        self.link.drops -= 1
        self.lose()
        self.link.connect_later()
        self.link.wake()

    def _arrives(self, message: Message) -> None:
        self.broker.sent(message.topic, message.payload)
        self.broker.publish(message.topic, message.payload, True)
        if not self._is_lost:
            self._acked.append(self._sent.popleft())
