"""The settings of the embedded broker."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from modelwave_controller.broker.acl import FleetAcl
from modelwave_controller.broker.errors import BrokerError
from modelwave_controller.broker.limits import MAX_CONNECTIONS, MAX_PACKET_BYTES


@dataclass(frozen=True)
class EmbeddedBrokerSettings:
    """The address that the broker listens on, its users and their rules.

    host, port: the address to bind; port 0 takes a free one, see `EmbeddedBroker.port`.
    users: user name to the hash of its password (`read_credentials`, `hash_password`). None means
        an open broker: no passwords and no rules, but reachable from this machine only.
    acl: the rules for those users; required with `users`, not allowed without.
    max_connections: what the process has file descriptors for, at most MAX_CONNECTIONS.
    max_packet_bytes: a client that sends a longer packet is disconnected before it is read.

    Raises BrokerError if the fields contradict each other.
    """

    host: str = "127.0.0.1"
    port: int = 0
    users: Mapping[str, str] | None = field(default=None, repr=False)
    acl: FleetAcl | None = None
    max_connections: int = MAX_CONNECTIONS
    max_packet_bytes: int = MAX_PACKET_BYTES

    def __post_init__(self) -> None:
        if self.users is None and not is_loopback(self.host):
            raise BrokerError(
                f"without credentials the broker listens on this machine only, and {self.host!r}"
                " is not a loopback address: give it users with --users, or listen on 127.0.0.1"
            )
        if (self.users is None) != (self.acl is None):
            raise BrokerError(
                "credentials and access rules come together: with `users` also give"
                " `acl=FleetAcl(fleet)`, without them neither"
            )

    @property
    def notice(self) -> str | None:
        """The warning for whoever starts this broker; None if there is none."""
        if self.users is not None:
            return None
        return (
            f"no credentials: every program on this machine may read and write everything on"
            f" this broker; it listens on loopback ({self.host}) only"
        )


def is_loopback(host: str) -> bool:
    """Returns whether `host` is a loopback address or `localhost`; any other name could resolve
    to any address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
