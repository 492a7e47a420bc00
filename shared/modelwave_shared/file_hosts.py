"""The hosts that files may come from, as the root (extra.file_hosts), agent.toml and a board's
program list them: HOST or HOST:PORT.

HOST is a name or an IPv4 address in lower case, or an IPv6 address in brackets. An entry without
a port stands for the one of the URL's scheme, 80 or 443. There is no entry for several hosts or
ports: whoever has the order key chooses the URLs, and must not choose whom devices ask.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_HOST_CHARACTERS = 160
MAX_LABEL = 63  # RFC 1035, section 2.3.4
MAX_PORT = 65535
DIGITS = "0123456789"
HEX = DIGITS + "abcdef"
LETTERS = DIGITS + "abcdefghijklmnopqrstuvwxyz-_"


def is_entry(text: str) -> bool:
    """Whether `text` is an entry of such a list."""
    host, port = parted(text)
    is_host = _is_ipv6(host[1:-1]) if host[:1] == "[" else _is_name(host)
    return is_host and len(text) <= MAX_HOST_CHARACTERS and port != 0


def parted(place: str) -> "tuple[str, int | None]":
    """Returns the host (with the brackets of IPv6) and the port of an entry or of a URL; the port
    is None if there is none, and 0 if it is not one."""
    end = place.find("]") + 1 if place[:1] == "[" else place.find(":")
    if end < 0 or end == len(place):
        return place, None
    colon, digits = place[end], place[end + 1 :]
    is_number = 0 < len(digits) <= 5 and not digits.strip(DIGITS) and digits[0] != "0"
    port = int(digits) if colon == ":" and is_number else 0
    return place[:end], port if port <= MAX_PORT else 0


def is_listed(hosts: "Sequence[str]", scheme: str, host: str, port: int) -> bool:
    """Whether one of the entries `hosts` is for this host (with the brackets of IPv6) and port of
    a URL of `scheme`."""
    implied = None if DEFAULT_PORTS.get(scheme) == port else port
    return any([parted(entry) in ((host, port), (host, implied)) for entry in hosts])


def is_url_listed(hosts: "Sequence[str]", url: str) -> bool:
    """Whether one of the entries `hosts` is for the host and port of this http or https URL."""
    scheme, _, rest = url.partition("://")
    host, port = parted(rest.split("/")[0].lower())
    implied = DEFAULT_PORTS.get(scheme)
    if implied is None:
        return False
    return is_listed(hosts, scheme, host, implied if port is None else port)


def _is_name(host: str) -> bool:
    return all([_is_label(label) for label in host.split(".")])


def _is_label(label: str) -> bool:
    is_spelt = 0 < len(label) <= MAX_LABEL and not label.strip(LETTERS)
    return is_spelt and label[0] != "-" and label[-1] != "-"


def _is_ipv6(address: str) -> bool:
    return address.count(":") > 1 and not address.strip(HEX + ":.")
