"""One who asks a service over a connection that is kept, as browsers and programs do."""

import http.client
import time
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

PACE_SECONDS = 1 / 45  # a person may ask 50 times a second for long


class Answer(NamedTuple):
    """`head`: its bytes on the wire."""

    seconds: float
    head: int
    body: bytes


class Visitor:
    def __init__(self, url: str, token: str, pause: float = 0.0) -> None:
        """`pause`: seconds between an answer and the next time that it asks."""
        self._origin = url
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        self._token = token
        self._headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "gzip, deflate"}
        self._pause = pause
        self._next = 0.0

    def log_in(self) -> None:
        """From now on it is a browser: it asks with its session's cookie."""
        said = {"Content-Type": "application/x-www-form-urlencoded", "Origin": self._origin}
        self._connection.request("POST", "/login", urlencode({"token": self._token}), said)
        answer = self._connection.getresponse()
        answer.read()
        assert answer.status == http.client.SEE_OTHER, answer.status
        self._headers["Cookie"] = answer.headers["Set-Cookie"].partition(";")[0]
        del self._headers["Authorization"]

    def get(self, path: str) -> Answer:
        """Asks not sooner than a person may; raises if what is asked for is not answered."""
        time.sleep(max(0.0, self._next - time.monotonic()))
        begun = time.monotonic()
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        ended = time.monotonic()
        self._next = max(begun + PACE_SECONDS, ended + self._pause)
        if answer.status != http.client.OK:
            raise RuntimeError(f"{path}: {answer.status} {body[:300]!r}")
        return Answer(ended - begun, _length(answer), body)

    def close(self) -> None:
        self._connection.close()


def _length(answer: http.client.HTTPResponse) -> int:
    """Returns the bytes of the answer's head."""
    lines = [f"HTTP/1.1 {answer.status} {answer.reason}"]
    lines += [f"{name}: {value}" for name, value in answer.getheaders()]
    return sum(len(line) + 2 for line in lines) + 2
