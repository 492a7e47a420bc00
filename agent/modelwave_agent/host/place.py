"""Resolves the URL of a file, and checks that a device may connect to its addresses.

Link-local, multicast and unspecified addresses are refused, so that a fleet cannot be used to
query a cloud's metadata service. The name is resolved once, and the device connects to the
addresses that were checked, which protects against DNS rebinding. Private and loopback
addresses are allowed, because a gateway's cache has one.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from modelwave_agent.ports import FetchError

DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class FileAddress:
    """The parts of a file's URL; `addresses` are the allowed (family, socket address)."""

    secure: bool
    host: str
    port: int
    path: str
    addresses: Sequence[tuple[int, Any]]


async def resolve(url: str, seconds: float) -> FileAddress:
    """Resolves a URL. Raises FetchError, also if that takes longer than `seconds`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme]
        if not host:
            raise ValueError("it names no host")
        resolving = asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        async with asyncio.timeout(seconds):
            found = await resolving
    except (KeyError, ValueError) as error:
        raise FetchError(f"{url}: not an http or https URL ({error})") from error
    except TimeoutError as error:
        raise FetchError(f"{host}: the name was not resolved in time") from error
    except OSError as error:
        raise FetchError(f"{host}: {error.strerror or error}") from error
    addresses = [(family, address) for family, _, _, _, address in found]
    allowed = [entry for entry in addresses if may_ask(str(entry[1][0]))]
    if not allowed:
        refused = ", ".join(sorted({str(address[0]) for _, address in addresses}))
        raise FetchError(f"{host}: a device may not connect to {refused}")
    return FileAddress(parts.scheme == "https", host, port, parts.path or "/", allowed)


def may_ask(address: str) -> bool:
    ip: Any = ipaddress.ip_address(address)
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return not (ip.is_link_local or ip.is_unspecified or ip.is_multicast)
