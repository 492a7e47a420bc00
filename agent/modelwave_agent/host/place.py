"""Resolves the URL of a file, and checks that a device may connect to its addresses.

Link-local, multicast and unspecified addresses, and those of metadata services, are refused, so
that a fleet cannot be used to query a cloud. The name is resolved once, and the device connects to
the addresses that were checked, which protects against DNS rebinding. Private and loopback
addresses are allowed in a signed URL, because a gateway's cache has one; redirects.py allows only
public ones.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from modelwave_agent.host.apart import apart
from modelwave_agent.ports import FetchError

PRINTABLE = re.compile("[!-~]+")
# Metadata services of clouds at other than link-local addresses (AWS, Alibaba, Azure, Oracle).
METADATA = ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
# These contain an IPv4 address in their last 32 bits: IPv4-compatible ones (RFC 4291), those of
# translators (RFC 2765, 6052, 8215).
WITH_IPV4 = [
    ipaddress.IPv6Network(network)
    for network in ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")
]
PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")  # no other is given out (RFC 4291, IANA)
DEFAULT_PORTS = {"http": 80, "https": 443}


IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class FileAddress:
    """The parts of a file's URL; `addresses` are the allowed (family, socket address)."""

    secure: bool
    host: str
    port: int
    path: str
    addresses: Sequence[tuple[int, Any]]

    @property
    def url(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.authority}{self.path}"

    @property
    def authority(self) -> str:
        """The value of the Host header (RFC 9110, section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = "https" if self.secure else "http"
        return host if self.port == DEFAULT_PORTS[scheme] else f"{host}:{self.port}"


def may_ask(address: str) -> bool:
    """Returns whether a signed URL may lead to `address`."""
    ip = _target(address)
    refused = ip.is_link_local or ip.is_unspecified or ip.is_multicast
    return not (refused or str(ip) in METADATA)


def is_public(address: str) -> bool:
    """Returns whether `address` may be asked, and belongs to no private network."""
    ip = _target(address)
    return may_ask(address) and ip.is_global and (ip.version == 4 or ip in PUBLIC_IPV6)


def _target(address: str) -> IPAddress:
    """Returns the address that packets to `address` reach: some IPv6 ones contain it."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if any(ip in network for network in WITH_IPV4):
            return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        return ip.ipv4_mapped or ip.sixtofour or ip
    return ip


async def resolve(
    url: str, seconds: float, allowed: Callable[[str], bool] = may_ask
) -> FileAddress:
    """Resolves a URL to the addresses that are `allowed`. Raises FetchError if there is none, or if
    that takes longer than `seconds`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme]
        if not host:
            raise ValueError("it names no host")
        if not PRINTABLE.fullmatch(url):
            raise ValueError("it has other characters than printable ASCII")
        async with asyncio.timeout(seconds):
            found = await apart(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except (KeyError, ValueError) as error:
        raise FetchError(f"{url}: not an http or https URL ({error})") from error
    except TimeoutError as error:
        raise FetchError(f"{host}: the name was not resolved in time") from error
    except OSError as error:
        raise FetchError(f"{host}: {error.strerror or error}") from error
    addresses = [(family, address) for family, _, _, _, address in found]
    good = [entry for entry in addresses if allowed(str(entry[1][0]))]
    if not good:
        refused = ", ".join(sorted({str(address[0]) for _, address in addresses}))
        raise FetchError(f"{host}: a device may not connect to {refused}")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return FileAddress(parts.scheme == "https", host, port, path, good)
