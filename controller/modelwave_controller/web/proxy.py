"""What a reverse proxy in front of the listener says, and who is believed to be one.

Only a proxy is believed: one on this machine, if [api] url is set, or one of [api] proxies. It adds
the address that it was asked from to X-Forwarded-For, so the last one there that is no proxy's is
who asks; what stands before it is what they said themselves.
"""

import ipaddress
from collections.abc import Sequence

from aiohttp import web

MAX_HOPS = 16  # that are read of X-Forwarded-For

FORWARDED = "X-Forwarded-For"


class Proxies:
    def __init__(self, local: bool = False, addresses: Sequence[str] = ()) -> None:
        """`local`: also those of this machine."""
        self._local = local
        self._addresses = {_known(address) for address in addresses}

    def address(self, request: web.Request) -> str:
        """Returns the address of who asks, "" if it is not known."""
        found = request.remote or ""
        given = ",".join(request.headers.getall(FORWARDED, [])).split(",")
        for hop in reversed(given[-MAX_HOPS:]):
            if not self.has(found) or not _known(hop.strip()):
                return found
            found = hop.strip()
        return found

    def has(self, address: str) -> bool:
        """Returns whether this is a proxy's address."""
        found = _known(address)
        return found in self._addresses or (
            self._local and found != "" and ipaddress.ip_address(found).is_loopback
        )


def _known(address: str) -> str:
    """Returns the address in its one form, "" if it is none."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)


NO_PROXIES = Proxies()
