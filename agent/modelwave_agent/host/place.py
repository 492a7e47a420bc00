"""Resolves the URL of a file, and checks that a device may connect to its host and addresses.

Whoever has the order key chooses the URLs. So that a fleet cannot be used to look into its own
networks, a URL leads to the listed hosts and their ports only (file_hosts.py), and to addresses
that addresses.py allows for them. The name is resolved once, and the device connects to the
addresses that were checked, which protects against DNS rebinding.
"""

import re
import socket
from asyncio import timeout
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from modelwave_agent.host.addresses import PRIVATE, PUBLIC, is_address, range_of
from modelwave_agent.host.apart import apart
from modelwave_agent.host.faults import in_words
from modelwave_agent.host.log import logger
from modelwave_agent.ports import FetchError
from modelwave_shared.file_hosts import DEFAULT_PORTS, is_listed, parted

PRINTABLE = re.compile("[!-~]+")
AGENT_SETTINGS = "[download] in agent.toml"  # where hosts and private_networks are set
PRIVATE_ADVICE = (
    ": put the address of a private network itself into hosts under %s, or set private_networks ="
    " true there"
)


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
        host = bracketed(self.host)
        scheme = "https" if self.secure else "http"
        return host if self.port == DEFAULT_PORTS[scheme] else f"{host}:{self.port}"


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def locate(
    url: str,
    seconds: float,
    hosts: Sequence[str],
    private_networks: bool,
    settings: str = AGENT_SETTINGS,
) -> FileAddress:
    """Resolves a signed URL, of one of `hosts`. `private_networks`: whether names of private
    networks are allowed as well. `settings`: where both are set. Raises FetchError as `resolve`."""

    def may_connect(host: str, address: str) -> bool:
        found = range_of(address)
        return found == PUBLIC or (found == PRIVATE and (private_networks or is_address(host)))

    scheme, host, port, _ = _parts(url)
    if not is_listed(hosts, scheme, bracketed(host), port):
        logger.warning("files may not come from %s: it is not listed", f"{bracketed(host)}:{port}")
        raise FetchError(
            f"the URL's host and port are not among the {len(hosts)} that files may come from: add"
            f" them to hosts under {settings}, or to the fleet's root"
        )
    try:
        return await resolve(url, seconds, may_connect, PRIVATE_ADVICE % settings)
    except FetchError as error:
        raise FetchError(f"{host}: {error}") from error


async def resolve(
    url: str, seconds: float, may_connect: Callable[[str, str], bool], advice: str = ""
) -> FileAddress:
    """Resolves a URL to the addresses that `may_connect(host, address)` allows. Raises FetchError
    if there is none, or if that takes longer than `seconds`; if one is of a private network, the
    error ends with `advice`."""
    scheme, host, port, path = _parts(url)
    try:
        async with timeout(seconds):
            found = await apart(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except TimeoutError as error:
        raise FetchError(f"the name was not resolved within {seconds:g} seconds") from error
    except ValueError as error:  # a label of 64 characters
        raise FetchError("the name cannot be resolved: it is none") from error
    except OSError as error:
        raise FetchError(f"the name cannot be resolved: {in_words(error)}") from error
    addresses = [(family, address) for family, _, _, _, address in found]
    good = [entry for entry in addresses if may_connect(host, str(entry[1][0]))]
    if not good:
        refused = sorted({str(address[0]) for _, address in addresses})
        logger.warning("files may not come from %s: it has %s", host, ", ".join(refused))
        is_private = any(range_of(address) == PRIVATE for address in refused)
        raise FetchError(
            f"a device may connect to none of its {len(refused)} addresses" + advice * is_private
        )
    return FileAddress(scheme == "https", host, port, path, good)


def _parts(url: str) -> tuple[str, str, int, str]:
    """Returns the scheme, the host without brackets, the port and the path with the query. Raises
    FetchError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme]
        if not host or not PRINTABLE.fullmatch(url):
            raise ValueError("it names no host, or has other characters than printable ASCII")
        if parted(parts.netloc)[1] == 0:  # urlsplit passes over what follows an address in brackets
            raise ValueError("its port is none")
    except (KeyError, ValueError) as error:
        raise FetchError("the URL is not an http or https URL") from error
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.scheme, host, port, path
