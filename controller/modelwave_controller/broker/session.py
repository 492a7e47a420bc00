"""What one client is to be sent: a session, which outlives its connection if the client asked for
that. Pure: messages in, packets out.

    retained    topics of retained messages that its SUBSCRIBEs matched; their payload is read when
                it is sent, so waiting costs no memory, and an older one never follows a newer one
    queue       messages that wait for the window or the socket
    in flight   messages at QoS 1 that were sent and are not acknowledged yet

They are sent in this order, and at most MAX_IN_FLIGHT at QoS 1 are under way. After a new
connection what is in flight is sent again.
"""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from modelwave_controller.broker import limits, packets
from modelwave_controller.broker.messages import Message, Retained


class _Due(NamedTuple):
    message: Message
    qos: int


class Session:
    """`controller`: it is a controller's, or that of an open broker's client. `filters` has the QoS
    that each of its filters was granted."""

    def __init__(
        self, client_id: str, user: str | None, *, clean: bool = True, controller: bool = False
    ) -> None:
        self.client_id = client_id
        self.user = user
        self.clean = clean
        self.controller = controller
        self.filters: dict[str, int] = {}
        self.unreleased: set[int] = set()  # ids of messages at QoS 2 that it sent
        self.queued_bytes = 0
        self.max_queued_bytes = (
            limits.MAX_QUEUED_FOR_A_CONTROLLER if controller else limits.MAX_QUEUED_FOR_A_DEVICE
        )
        self._retained: dict[str, int] = {}
        self._queue: deque[_Due] = deque()
        self._in_flight: dict[int, Message] = {}
        self._again: deque[int] = deque()
        self._last_id = 0

    def add(self, message: Message, qos: int) -> None:
        """Puts a message into the queue; `qos` is that of the subscription."""
        self._queue.append(_Due(message, min(qos, message.qos)))
        self.queued_bytes += message.size

    def add_while_absent(self, message: Message, qos: int) -> None:
        """The same for a client that is not connected: messages at QoS 0 are not kept, and the
        oldest is dropped beyond MAX_KEPT_FOR_ABSENT."""
        if min(qos, message.qos) == 0:
            return
        self.add(message, qos)
        while len(self._queue) > limits.MAX_KEPT_FOR_ABSENT:
            self._drop(self._queue.popleft())

    def add_retained(self, topics: Iterable[str], qos: int) -> None:
        for topic in topics:
            self._retained[topic] = max(qos, self._retained.get(topic, 0))

    @property
    def has_more(self) -> bool:
        """Whether there is something that may be sent now, without another acknowledgement."""
        if self._retained:
            return bool(self._again) or len(self._in_flight) < limits.MAX_IN_FLIGHT
        return bool(self._again) or self._may_go()

    def packets(self, retained: Retained, max_bytes: int) -> list[bytes]:
        """Takes packets to send now, until they have `max_bytes` or the window is full."""
        found: list[bytes] = []
        size = 0
        while size < max_bytes:
            packet = self._resent() or self._of_retained(retained) or self._of_queue()
            if packet is None:
                break
            found.append(packet)
            size += len(packet)
        return found

    def acknowledged(self, packet_id: int) -> None:
        """Ends a message in flight; an acknowledgement of nothing is ignored, as it may be late."""
        message = self._in_flight.pop(packet_id, None)
        if message is not None:
            self.queued_bytes -= message.size

    def connected_again(self) -> None:
        self._again = deque(self._in_flight)

    def parted(self) -> None:
        """The connection ended: retained messages come with the next SUBSCRIBE."""
        self._retained.clear()
        self._again.clear()
        kept = [due for due in self._queue if due.qos]
        for due in self._queue:
            if not due.qos:
                self._drop(due)
        self._queue = deque(kept)

    def _may_go(self) -> bool:
        if not self._queue:
            return False
        return not self._queue[0].qos or len(self._in_flight) < limits.MAX_IN_FLIGHT

    def _resent(self) -> bytes | None:
        while self._again:
            packet_id = self._again.popleft()
            message = self._in_flight.get(packet_id)
            if message is not None:
                return packets.publish(
                    message.topic_bytes, message.payload, packet_id, retain=False, again=True
                )
        return None

    def _of_retained(self, retained: Retained) -> bytes | None:
        while self._retained and len(self._in_flight) < limits.MAX_IN_FLIGHT:
            topic, qos = next(iter(self._retained.items()))
            del self._retained[topic]
            message = retained.get(topic)
            if message is not None:  # else it was cleared meanwhile
                due = _Due(message, min(qos, message.qos))
                self.queued_bytes += message.size
                return self._sent(due, retain=True)
        return None

    def _of_queue(self) -> bytes | None:
        if self._retained or not self._may_go():
            return None
        return self._sent(self._queue.popleft(), retain=False)

    def _sent(self, due: _Due, *, retain: bool) -> bytes:
        message, packet_id = due.message, 0
        if due.qos:
            packet_id = self._free_id()
            self._in_flight[packet_id] = message
        else:
            self._drop(due)
        return packets.publish(message.topic_bytes, message.payload, packet_id, retain=retain)

    def _drop(self, due: _Due) -> None:
        self.queued_bytes -= due.message.size

    def _free_id(self) -> int:
        """Fewer than MAX_IN_FLIGHT are taken, so there is one."""
        while True:
            self._last_id = self._last_id % 0xFFFF + 1
            if self._last_id not in self._in_flight:
                return self._last_id
