"""Reads the broker's addresses in agent.toml: one URL, or a list of those of a cluster."""

from typing import Any, NamedTuple
from urllib.parse import urlsplit

from modelwave_shared.limits import MAX_BROKERS

MQTT_PORT, MQTTS_PORT = 1883, 8883


class BrokerUrl(NamedTuple):
    host: str
    port: int
    tls: bool


def one(value: Any) -> BrokerUrl:
    """Reads a URL. Raises ValueError, which says what to give."""
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError("give a text in quotes, on one line")
    parts = urlsplit(value)
    rest = (parts.path.strip("/"), parts.query, parts.fragment)
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or any(rest) or parts.port == 0:
        raise ValueError("give mqtt://HOST or mqtts://HOST, with :PORT unless it is 1883 or 8883")
    if parts.username is not None or parts.password is not None:
        raise ValueError("no user or password in the URL: set user and password_file")
    tls = parts.scheme == "mqtts"
    return BrokerUrl(parts.hostname, parts.port or (MQTTS_PORT if tls else MQTT_PORT), tls)


def several(value: Any) -> list[BrokerUrl]:
    """Reads a list of URLs, the first to be tried first. Raises ValueError."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_BROKERS:
        raise ValueError(
            f'give 1 to {MAX_BROKERS} URLs as a list: ["mqtt://a.example", "mqtt://b.example"]'
        )
    found = [one(url) for url in value]
    if len(set(found)) != len(found):
        raise ValueError("an address is named twice; name it once")
    if len({url.tls for url in found}) != 1:
        raise ValueError("mqtts:// for all, or for none: they share the user and the authorities")
    return found
