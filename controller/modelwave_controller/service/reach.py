"""Tries whether a service that stands by reaches the broker, while the leader does not.

Otherwise it has no connection to the broker. The connection subscribes to nothing: what it would
receive is the leader's to store.
"""

from modelwave_controller.service.broker_address import ServiceBroker
from modelwave_controller.service.link import ServiceLink

PURPOSE = "standing by: "  # prefix of log lines


class Reach:
    """A connection to the broker that is made only while it matters. One thread uses it."""

    def __init__(self, broker: ServiceBroker, fleet: str) -> None:
        self.broker = broker
        self.fleet = fleet
        self._link: ServiceLink | None = None

    def look(self, wanted: bool) -> bool:
        """Begins or ends to try, as `wanted`; returns whether the broker answers."""
        if not wanted:
            self.stop()
        elif self._link is None:
            self._link = ServiceLink(
                self.broker, self.fleet, _ignore, _do_nothing, heard=(), purpose=PURPOSE
            )
            self._link.start()
        return self._link is not None and self._link.reaches

    def stop(self) -> None:
        if self._link is not None:
            self._link.begin_to_stop()
            self._link = None


def _ignore(_topic: str, _payload: bytes) -> None:
    pass


def _do_nothing() -> None:
    pass
