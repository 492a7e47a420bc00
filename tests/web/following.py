"""Follows the log of a service, as a program does that has only an HTTP library."""

import http.client
import json
from typing import Any
from urllib.parse import urlencode, urlsplit


class Follower:
    """`last`: the id of the last event; a new Follower goes on after it."""

    def __init__(self, url: str, token: str, last: int | None = None, **query: Any) -> None:
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
        headers = {"Authorization": f"Bearer {token}"}
        if last is not None:
            headers["Last-Event-ID"] = str(last)
        path = f"{parts.path}/api/v1/log/stream?{urlencode(query)}"
        self.connection.request("GET", path, headers=headers)
        self.answer = self.connection.getresponse()
        self.last = last
        self.retry = 0

    def block(self) -> dict[str, str]:
        """Returns the fields up to the next empty line; a comment has the name "". {}: the end."""
        found: dict[str, str] = {}
        while line := self.answer.readline().decode().rstrip("\n"):
            name, _, value = line.partition(":")
            found[name] = value.strip()
        if "id" in found:
            self.last = int(found["id"])
        return found

    def event(self) -> dict[str, Any]:
        """Returns the next event. Raises EOFError at the end."""
        while block := self.block():
            if "data" in block:
                found: dict[str, Any] = json.loads(block["data"])
                return found
        raise EOFError

    def close(self) -> None:
        self.answer.close()
        self.connection.close()

    def __enter__(self) -> "Follower":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
