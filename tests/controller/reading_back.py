"""The comparison of what a broker retains with the outbox, with a broker that answers when it is
told to, and without threads."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from modelwave_controller.service import readback
from modelwave_controller.service.readback import ReadBack
from modelwave_controller.storage import ahead, outbox
from modelwave_controller.storage.outbox import Message
from modelwave_controller.storage.store import Store


class Broker:
    """A broker and the connection to it: it answers when it is told to."""

    client_id = "CONTROLLER-1"

    def __init__(self, grants: bool = True) -> None:
        self.grants = grants
        self.retained: dict[str, bytes] = {}
        self.deaf = False  # it delivers nothing
        self.waiting: list[tuple[str, bytes]] = []
        self.subscribed = 0
        self.retained_messages = 0
        self.left = 0
        self.sent: list[Message] = []
        self.then: Callable[[bool], None] = lambda _: None

    def subscribe(self, _filters: Sequence[str], then: Callable[[bool], None]) -> None:
        self.subscribed += 1
        self.then = then
        self.waiting += self.retained.items()

    def probe(self, topic: str, payload: bytes) -> None:
        self.waiting.append((topic, payload))

    def leave(self) -> None:
        self.left += 1

    def send(self, message: Message) -> None:
        """Publishes, also for others than the service."""
        self.sent.append(message)
        self.retained[message.topic] = message.payload
        self.waiting.append((message.topic, message.payload))


class Reading:
    """A ReadBack with a broker and a database, without threads."""

    clock: ClassVar[float] = 0.0

    def __init__(self, store: Store, broker: Broker, root: dict[str, Any]) -> None:
        self.store = store
        self.broker: Any = broker
        self.readback = ReadBack(root, lambda: None, lambda: 1_800_000_000.0)

    def hold(self, topic: str, payload: bytes) -> None:
        with self.store.write() as connection:
            outbox.put(connection, [topic], payload)

    def publish(self) -> list[str]:
        """Sends what is due and may be sent, and marks it: returns its topics."""
        with self.store.write() as connection:
            due = outbox.unsent(connection, 100, but=ahead.not_surpassed(connection, 0))
            for message in due:
                self.readback.sent(message)
                self.broker.send(message)
            outbox.mark(connection, [(m.topic, m.version) for m in due])
        return [message.topic for message in due]

    def step(self) -> float:
        return self.readback.step(self.store, self.broker)

    def deliver(self) -> None:
        waiting, self.broker.waiting = self.broker.waiting, []
        then, self.broker.then = self.broker.then, lambda _: None
        then(self.broker.grants)
        for topic, payload in waiting:
            if not self.broker.deaf and self.readback.takes(topic):
                self.readback.put(topic, payload)

    def look(self) -> list[str]:
        """Lets as much time pass as a whole look needs; returns what is published after it."""
        Reading.clock += readback.READ_ALL_SECONDS
        for _ in range(2):
            self.step()
            self.deliver()
        self.step()
        return self.publish()

    def live(self) -> list[str]:
        """The same without a look at all messages."""
        Reading.clock += readback.PAUSE_SECONDS
        before = self.broker.subscribed
        self.deliver()
        self.step()
        self.deliver()
        self.step()
        assert self.broker.subscribed == before
        return self.publish()
