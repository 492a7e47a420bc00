"""Decides which redirects of a file server a device follows.

The order with the URL is signed, a redirect is not. Whatever it leads to cannot pass for the signed
file, but it could make a device ask hosts for the server: services of its local network, or its
cloud's metadata. So:

  - a redirect is followed from https to https only, MAX_REDIRECTS times at most;
  - only to hosts in `redirect_hosts` of agent.toml, which is empty by default, and to the port
    given there (443 if none is);
  - only to public addresses, and to those of the signed URL's own host.

A Location often has a token that gives access, so errors have nothing of it. The device's own log
names the host that was not listed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from modelwave_agent.host.addresses import PUBLIC, range_of
from modelwave_agent.host.log import logger
from modelwave_agent.host.place import PRINTABLE, FileAddress, resolve
from modelwave_agent.ports import FetchError
from modelwave_shared.file_hosts import DEFAULT_PORTS

MAX_REDIRECTS = 3
STATUSES = (301, 302, 303, 307, 308)
MAX_HOSTS = 16  # in the configuration
MAX_LOCATION = 8192  # characters: a URL of an object store with its tokens has up to 3,000

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_ENTRY = re.compile(
    rf"(?:(?P<below>\*\.)(?={_LABEL}\.))?(?P<name>{_LABEL}(?:\.{_LABEL})*)(?::(?P<port>\d{{1,5}}))?",
    re.ASCII,
)


@dataclass(frozen=True)
class RedirectHost:
    """An entry of `redirect_hosts`. `is_parent`: it stands for all names below `name`."""

    name: str
    is_parent: bool
    port: int

    @classmethod
    def of(cls, text: str) -> "RedirectHost":
        """Reads "cdn.example.org", "*.example.org" or "cdn.example.org:8443". Raises
        ValueError."""
        found = _ENTRY.fullmatch(text.lower())
        port = int(found["port"] or DEFAULT_PORTS["https"]) if found else 0
        if not found or len(text) > 253 or not 0 < port < 65536:
            raise ValueError(
                f"{text!r} is not a host: give HOST, *.HOST for all names below it, with :PORT"
                " unless it is 443; a HOST after *. needs a dot"
            )
        return cls(found["name"], bool(found["below"]), port)

    def matches(self, host: str, port: int) -> bool:
        name = host.endswith("." + self.name) if self.is_parent else host == self.name
        return name and port == self.port


async def follow(
    signed: FileAddress,
    place: FileAddress,
    location: str,
    hosts: Sequence[RedirectHost],
    seconds: float,
) -> FileAddress:
    """Returns where the `location` of a redirect by `place` leads. `signed` is the address of the
    signed URL; `seconds`: to resolve the name. Raises FetchError."""
    url = _checked(place, location, hosts)
    named = {str(address[0]) for _, address in signed.addresses}

    def may_connect(_: str, address: str) -> bool:
        return range_of(address) == PUBLIC or address in named

    try:
        return await resolve(url, seconds, may_connect)
    except FetchError as error:
        raise FetchError(f"it redirects, and where to: {error}") from error


def _checked(place: FileAddress, location: str, hosts: Sequence[RedirectHost]) -> str:
    """Returns the URL that `location` means. Raises FetchError if it may not be followed."""
    if not place.secure:
        raise FetchError(
            "it redirects, which is followed from https only: sign an https URL, or one that needs"
            " no redirect"
        )
    try:
        url = urljoin(place.url, location)
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or DEFAULT_PORTS["https"]
    except ValueError:
        host, port = "", 0
    is_written = len(location) <= MAX_LOCATION and PRINTABLE.fullmatch(location)
    if not is_written or not _HOST.fullmatch(host):
        raise FetchError("it redirects to what is not a URL with a host name")
    if parts.scheme != "https":
        raise FetchError("it redirects to a URL without https")
    if parts.username is not None or parts.password is not None:
        raise FetchError("it redirects to a URL with a user")
    if not any(entry.matches(host, port) for entry in hosts):
        entry = host if port == DEFAULT_PORTS["https"] else f"{host}:{port}"
        logger.warning('%s redirects to "%s", which is not listed', place.host, entry)
        raise FetchError(
            f"it redirects to a host that is not among the {len(hosts)} in redirect_hosts under"
            " [download] in agent.toml (the device's log names it): add it there, or sign URLs that"
            " need no redirect"
        )
    return parts._replace(fragment="").geturl()
