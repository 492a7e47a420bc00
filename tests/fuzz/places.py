"""Where a device may be led: URLs of files in orders, and redirects of file servers."""

import contextlib
import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from modelwave_agent.board.http import HttpFetcher
from modelwave_agent.host import place, redirects
from modelwave_agent.host.place import FileAddress, bracketed
from modelwave_agent.host.redirects import RedirectHost
from modelwave_agent.ports import FetchError
from modelwave_shared import fields, file_hosts
from modelwave_shared.errors import DocumentError
from tests.fuzz.judging import require_line, require_plain

HOSTS = ["files.example.org", "files.example.org:8443", "[2001:db8::1]:80", "192.0.2.1", "a-b:81"]
REDIRECTS = (RedirectHost.of("cdn.example.org"), RedirectHost.of("*.s3.example.org:8443"))
FROM = FileAddress(True, "files.example.org", 443, "/files/x", ())
SHA256 = "ab" * 32


def url(data: bytes) -> bool:
    """Host, board and controller agree whether files may come from a URL that an order may have."""
    text = data.decode("latin-1")
    try:
        fields.url(text, "order.urls[0]")
    except DocumentError as error:
        require_plain(str(error))
        return False
    whole = f"{text}/{SHA256}"
    verdicts = (_of_host(whole), _of_board(whole), file_hosts.is_url_listed(HOSTS, whole))
    assert len(set(verdicts)) == 1, verdicts
    return verdicts[0]


def _of_host(text: str) -> bool:
    try:
        scheme, host, port, path = place._parts(text)
    except FetchError:
        return False
    assert path.endswith(f"/{SHA256}")
    return file_hosts.is_listed(HOSTS, scheme, bracketed(host), port)


def _of_board(text: str) -> bool:
    scheme, _, where, _ = text.split("/", 3)
    try:
        HttpFetcher(hosts=HOSTS)._listed(scheme, where)
    except FetchError as error:
        require_line(error)
        return False
    return True


def redirect(data: bytes) -> bool:
    """A Location that is followed leads by https to a listed host, as urllib reads it, with no
    user."""
    try:
        with _quiet():
            found = redirects._checked(FROM, data.decode("latin-1"), REDIRECTS)
        resolved = place._parts(found)
    except FetchError as error:
        require_line(error)
        return False
    parts = urlsplit(found)
    assert parts.scheme == "https"
    assert "@" not in parts.netloc
    host, port = parts.hostname or "", parts.port or 443
    is_first = (host, port) == ("cdn.example.org", 443)
    assert is_first or (host.endswith(".s3.example.org") and port == 8443)
    assert resolved[1:3] == (host, port)
    return True


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The log names each host that is not listed."""
    logger = logging.getLogger("modelwave_agent")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def url_seeds() -> list[bytes]:
    return [
        *(b"http://files.example.org", b"https://files.example.org:8443/a/b"),
        *(b"http://[2001:db8::1]/f", b"https://192.0.2.1", b"http://A-B:81/x", b"https://a-b:81"),
    ]


def redirect_seeds() -> list[Any]:
    return [
        *(b"https://cdn.example.org/x?a=b", b"//cdn.example.org/y#z"),
        *(b"https://a.b.s3.example.org:8443/", b"https://cdn.example.org:443"),
    ]
