"""Asks the broker by name for the reports and presence of known devices that it kept back, and for
the presence of their gateways.

A broker limits what it queues for a client, and drops the rest without a word. So a subscription to
all devices brings only a part of their retained messages if the fleet is too large for that limit.

When the first look of readback.py over a new connection has ended, what was due has arrived. Then
the leader compares the devices that it knows with those that it has heard over this connection, and
reads the topics of the others, BATCH at a time. If some were kept back, the log says so once.

In the same way it reads, over the same connection, what came and was dropped because more came than
could be stored: the broker retains it, and the device would say it again only with its next
heartbeat.
"""

import logging
from collections import deque
from collections.abc import Callable

from modelwave_controller.phrases import plural
from modelwave_controller.service.connection import Connection
from modelwave_controller.storage import gateways, reporting
from modelwave_controller.storage.store import Transactions
from modelwave_shared import topics

BATCH = 32  # topics in one packet, far below what brokers limit

logger = logging.getLogger(__name__)


class Unheard:
    """The topics that are left to be asked for over the present connection. One thread uses it."""

    def __init__(
        self,
        fleet: str,
        wake: Callable[[], None],
        has: Callable[[str], bool] = lambda _device: True,
        dropped: Callable[[int], list[str]] = lambda _limit: [],
    ) -> None:
        """`wake` is called, in another thread, when `step` is due again. `has`: whether this
        process receives a device. `dropped` as Inbox.take_dropped."""
        self.fleet = fleet
        self.has = has
        self.wake = wake
        self.dropped = dropped
        self._retained = tuple(topics.under(fleet, kind, "") for kind in ("reported", "presence"))
        self._connection: Connection | None = None
        self._left: deque[str] = deque()
        self._known = 0

    def step(self, store: Transactions, connection: Connection, looked: bool) -> None:
        """Does what is due. `looked`: the first look over this connection has ended. Raises
        StorageError."""
        heard = connection.heard
        if heard is None or heard.is_asking or not looked:
            return
        if heard.is_over:
            self._read_dropped(connection)
            return
        if connection is not self._connection:
            self._begin(store, connection)
        batch: list[str] = []
        while self._left and len(batch) < BATCH:
            topic = self._left.popleft()
            if topic not in heard:
                batch.append(topic)
        if batch:
            connection.read_retained(batch, self.wake)
        else:
            heard.end()
            self._tell(heard.kept_back)

    def _read_dropped(self, connection: Connection) -> None:
        while dropped := self.dropped(BATCH):
            if batch := [topic for topic in dropped if topic.startswith(self._retained)]:
                connection.read_retained(batch, self.wake)
                return

    def _begin(self, store: Transactions, connection: Connection) -> None:
        self._connection = connection
        with store.read() as database:
            known = [name for name in reporting.devices_heard(database) if self.has(name)]
            speaking = set(filter(self.has, gateways.names(database))) - set(known)
        self._known = len(known)
        both = (topics.reported, topics.presence)
        self._left = deque(topic(self.fleet, device) for device in known for topic in both)
        self._left += [topics.presence(self.fleet, name) for name in sorted(speaking)]

    def _tell(self, kept_back: int) -> None:
        if kept_back:
            logger.warning(
                "the broker kept back %s of devices, which were then read one by one: it drops "
                "what it cannot queue for a client, so let it queue more than %d, twice the number "
                "of devices (Mosquitto: max_queued_messages), or sends nothing retained for "
                "filters with +; `modelwave broker check` tells",
                plural(kept_back, "retained message"),
                2 * self._known,
            )
