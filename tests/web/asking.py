"""Sends requests to a listener, as they are."""

import http.client
import json
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]  # by names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    url: str,
    method: str,
    path: str,
    body: Any = None,
    token: str = "admin",
    **headers: str,
) -> Answer:
    """A body that is no bytes is sent as JSON. `path` is below the URL; in the names of headers
    _ stands for -."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named = {"Authorization": f"Bearer {token}"} | named if token else named
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    if body is not None:
        named = {"Content-Type": "application/json"} | named
    try:
        connection.request(method, parts.path + path, body, named)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, answer.read())
    finally:
        connection.close()
