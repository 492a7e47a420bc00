"""Reads the file that `modelwave device enrol --board` has written for a board:

enrolled = Enrolled("/pico-1.json")
agent = BoardAgent(enrolled.device, enrolled.target, models, enrolled.link(),
                   report_key=enrolled.report_key)

The file has secrets: copy it over the cable. The root of trust in it goes into a file of its own,
where BoardAgent reads it.
"""

import json

from modelwave_agent.board.mqtt import MqttLink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FORMAT = 1
MAX_BYTES = 32768
TEXTS = ("device", "target", "host", "report_key", "root")
OPTIONAL = ("password", "ca", "certificate", "key")


class Enrolled:
    """What a board was enrolled with. `models` are the names of those that it may run."""

    def __init__(self, path: str = "/enrolled.json", root: str = "/root.json") -> None:
        """`root`: the file that gets the root of trust, if it holds another one. Raises OSError,
        and ValueError if the file is not one of `device enrol --board`."""
        found = _read(path)
        self.device: str = found["device"]
        self.target: str = found["target"]
        self.models: "list[str]" = found["models"]
        self.report_key: str = found["report_key"]
        self.host: str = found["host"]
        self.port: int = found["port"]
        self.others: "list[tuple[str, int]]" = [(host, port) for host, port in found["others"]]
        self._password: str = found["password"]
        self._tls = [found[name].encode() for name in ("ca", "certificate", "key")]
        _write_other(root, found["root"])

    def link(self, keepalive: int = 30) -> MqttLink:
        """Returns the connection to the fleet's broker. Raises ValueError if the certificates
        cannot be used."""
        tls = None
        if self._tls[0]:
            from modelwave_agent.board.tls_context import tls_context

            tls = tls_context(*self._tls) if self._tls[1] else tls_context(self._tls[0])
        user = self.device if self._password else ""
        return MqttLink(
            self.host, self.port, self.device, user, self._password, tls, keepalive, self.others
        )


def _read(path: str) -> "dict[str, Any]":
    with open(path, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError("%s: longer than %d bytes" % (path, MAX_BYTES))
    try:
        found: "Any" = json.loads(data)
    except ValueError:  # its text may quote a secret
        found = None
    if type(found) is not dict or found.get("v") != FORMAT:
        raise ValueError("%s: not a file of `modelwave device enrol --board`" % path)
    for name in OPTIONAL:
        found.setdefault(name, "")
    for name in TEXTS + OPTIONAL:
        if type(found.get(name)) is not str:
            raise ValueError("%s: %s: no text; enrol the board again" % (path, name))
    if type(found.get("port")) is not int or type(found.get("models")) is not list:
        raise ValueError("%s: port or models: enrol the board again" % path)
    if not _are_places(found.setdefault("others", [])):
        raise ValueError("%s: others: enrol the board again" % path)
    checked: "dict[str, Any]" = found
    return checked


def _are_places(value: "Any") -> bool:
    """Whether it is a list of [host, port]."""
    return type(value) is list and all(
        type(one) is list and [type(part) for part in one] == [str, int] for one in value
    )


def _write_other(path: str, text: str) -> None:
    """Writes the text to a file that holds another one; a flash is not written without need."""
    data = text.encode()
    try:
        with open(path, "rb") as file:
            if file.read(len(data) + 1) == data:
                return
    except OSError:
        pass
    with open(path, "wb") as file:
        file.write(data)
