"""Messages, and those that the broker retains. Pure."""

from modelwave_controller.broker import limits
from modelwave_controller.broker.errors import ClientRefused
from modelwave_controller.broker.routes import Topics


class Message:
    """A message on its way, shared by all who are to get it."""

    __slots__ = ("payload", "qos", "size", "topic", "topic_bytes")

    def __init__(self, topic: str, payload: bytes, qos: int) -> None:
        self.topic, self.payload, self.qos = topic, payload, qos
        self.topic_bytes = topic.encode()
        self.size = limits.MESSAGE_BYTES + len(self.topic_bytes) + len(payload)


class Retained(Topics[Message]):
    """The retained messages by topic."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = 0

    def keep(self, message: Message) -> None:
        """Retains a message; an empty one clears its topic. Raises ClientRefused if there is no
        room for it."""
        before = self.get(message.topic)
        size = message.size if message.payload else 0
        total = self._bytes + size - (before.size if before else 0)
        full = size > 0 and before is None and len(self) >= limits.MAX_RETAINED
        if full or total > limits.MAX_RETAINED_BYTES:
            raise ClientRefused(f"sent a message to {message.topic!r}, and no more can be retained")
        self._bytes = total
        if message.payload:
            self.set(message.topic, message)
        else:
            self.remove(message.topic)
