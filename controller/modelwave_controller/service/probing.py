"""Probes whether a connection still brings what is sent to it, for an ingest process.

A probe is a message to a topic of the process' own. When the first one comes back, the broker has
delivered what was due before it. Then one is sent every PROBE_SECONDS. If LEFT_LOOKS in a row do
not come back for QUIET_SECONDS each, and no message of a device comes either, the connection is
left: it stands, and its node has probably lost the cluster or the subscriptions. Where no probe
ever came back, as the broker does not allow it, nothing is concluded.
"""

import secrets
import time
from collections.abc import Callable

from modelwave_controller.service.connection import Connection
from modelwave_controller.service.readback import LEFT_LOOKS, QUIET_SECONDS

PROBE_SECONDS = 60
MAX_FIRST = 10**9


class Probing:
    """One thread calls `step`, that of the network `came`."""

    def __init__(self, topic: str, steady: Callable[[], float] = time.monotonic) -> None:
        """`steady` returns seconds of a clock that nobody can set."""
        self.topic = topic
        self._steady = steady
        self._connection: Connection | None = None  # over which the probe was sent
        # Of the newest probe. The session may still hold probes of an earlier process.
        self._number = secrets.randbelow(MAX_FIRST)
        self._first = self._number + 1  # of the first one over this connection
        self._back = 0  # number of the newest one that came back
        self._sent = self._heard = steady()
        self._missed = 0  # in a row

    @property
    def has_looked(self) -> bool:
        """Whether what was due when the connection was made has come."""
        return self._connection is not None and self._back >= self._first

    def came(self, topic: str, payload: bytes) -> bool:
        """Notes a message of the connection; returns whether it is a probe."""
        self._heard = self._steady()
        if topic != self.topic:
            return False
        number = int(payload) if payload.isdigit() and len(payload) < 12 else 0
        if number <= self._number:
            self._back = max(self._back, number)
        return True

    def step(self, connection: Connection) -> None:
        """Does what is due over the present connection."""
        now = self._steady()
        connection.acknowledged()  # only of probes; until then it keeps their packet ids
        if connection is not self._connection:
            self._missed, self._first = 0, self._number + 1
            self._connection = connection
            connection.subscribe([self.topic], lambda _granted: None)
            self._send(connection, now)
        elif self._back >= self._number:
            self._missed = 0
            if now - self._sent >= PROBE_SECONDS:
                self._send(connection, now)
        elif self.has_looked and now - self._sent > QUIET_SECONDS:
            self._missed += 1
            if self._missed >= LEFT_LOOKS and now - self._heard > QUIET_SECONDS:
                connection.leave()
            else:
                self._send(connection, now)

    def _send(self, connection: Connection, now: float) -> None:
        self._number += 1
        self._sent = now
        connection.probe(self.topic, str(self._number).encode())
