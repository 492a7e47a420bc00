"""Compares the addresses that orders name for files with the hosts that the root lists."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from modelwave_shared.file_hosts import DEFAULT_PORTS, is_listed


def warnings(root: dict[str, Any], urls: Sequence[str]) -> list[str]:
    """Returns what to do about URLs whose hosts a root with a list of hosts does not have. `urls`
    are those of the configuration; devices ask only the hosts that are listed."""
    listed = root.get("extra", {}).get("file_hosts")
    if not listed:
        return []
    strange = [place for place in map(_place, urls) if not is_listed(listed, *place)]
    if not strange:
        return []
    names = ", ".join(sorted({f"{host}:{port}" for _, host, port in strange}))
    return [
        f"files.urls: {names} is not among the hosts of the fleet's root ({', '.join(listed)}), so "
        "devices do not fetch from there: change urls in controller.toml, or the root with "
        "modelwave key hosts"
    ]


def _place(url: str) -> tuple[str, str, int]:
    """Returns the scheme, the host, with the brackets of IPv6, and the port."""
    parts = urlsplit(url)
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    return parts.scheme, bracketed(parts.hostname or ""), port


def bracketed(host: str) -> str:
    """Returns the host as it stands in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host
