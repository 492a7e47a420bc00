"""Says whether what the database holds about the fleet is up to date: a service runs, and is
connected to the broker.
"""

from typing import NamedTuple

from sqlalchemy import Connection

from modelwave_controller.phrases import moment, span
from modelwave_controller.storage import holder, lease, log, shares
from modelwave_controller.storage.lease import Lease, LinkState

# A running service stores the time of its ticks every few seconds.
SERVICE_SILENT_SECONDS = 15


class Health(NamedTuple):
    """`seen_at`: Unix seconds of a recent tick, 0: no service has run yet; `link` None: no service
    has stored it; `leader`: who leads, or None; `shares`: what is wrong with the ingest processes,
    if there are any."""

    seen_at: int
    link: LinkState | None
    leader: Lease | None
    now: float
    shares: tuple[str, ...] = ()

    @property
    def service_runs(self) -> bool:
        return self.seen_at > 0 and self.now - self.seen_at <= SERVICE_SILENT_SECONDS

    @property
    def up_to_date(self) -> bool:
        """Whether messages of devices are received, so that their presence is known."""
        connected = self.link is None or self.link.connected
        return self.service_runs and connected and not self.shares

    @property
    def problem(self) -> str:
        """Returns what is wrong, and what to do; "" for nothing."""
        if not self.seen_at:
            return "no service has run yet: start `modelwave serve`"
        if not self.service_runs and self.leader and holder.is_there(self.leader):
            return (
                f"the service ({lease.described(self.leader)}) has written nothing for "
                f"{self._long(self.seen_at)}, though its process is there: its log says why, such "
                "as a full disk; if it is another program's, start `modelwave serve`"
            )
        if not self.service_runs:
            return f"no service has run for {self._long(self.seen_at)}: start `modelwave serve`"
        if self.link is None or self.link.connected:
            return "; ".join(self.shares)
        long = self._long(self.link.since)
        if self.leader is None:
            return f"no service has led for {long}: start `modelwave serve`"
        return (
            f"the service ({lease.described(self.leader)}) has not been connected to the broker "
            f"for {long}, its log says why; start the broker, or correct [broker] in "
            "controller.toml"
        )

    def _long(self, since: float) -> str:
        return f"{span(self.now - since)}, since {moment(since)}"


def health(connection: Connection, now: float) -> Health:
    """`now` is in Unix seconds."""
    link = lease.link_state(connection)
    seen = log.service_seen_at(connection)
    troubles = (share.problem(now) for share in shares.stored(connection))
    return Health(
        seen,
        link if link.since else None,
        lease.holder(connection),
        now,
        tuple(one for one in troubles if one),
    )
