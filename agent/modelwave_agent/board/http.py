"""Downloads files over HTTP, from the end of the bank's file on.

The rules for the server are those of host/http.py. It answers 206 with the requested range, or
200 with the whole file; then the bytes that the bank has already are skipped. If it gives the
length of its answer, that must agree with the signed size; if not, the answer is read up to the
signed size. Unlike hosts, boards refuse chunked transfer and redirects. The head is short, and must
come within SILENCE_SECONDS; so must each KiB of the body.
"""

import asyncio

from modelwave_agent.ports import Fetcher, FetchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence
    from typing import Any, Protocol, TypeVar

    from modelwave_agent.intake import Intake

    T = TypeVar("T")

    class Stream(Protocol):
        """MicroPython's asyncio.Stream, which reads and writes one connection."""

        # None: the received bytes belong to TLS and hold no data.
        async def readinto(self, buffer: memoryview) -> "int | None": ...
        def write(self, data: bytes) -> None: ...
        async def drain(self) -> None: ...
        async def wait_closed(self) -> None: ...


BUFFER_BYTES = 1024  # also the longest line of a head
MAX_HEAD_BYTES = 2048
SILENCE_SECONDS = 20
NEWLINE = 10
REQUEST = "GET /%s HTTP/1.1\r\nHost: %s\r\nRange: bytes=%d-\r\nAccept-Encoding: identity\r\n\r\n"


class HttpFetcher(Fetcher):
    """Downloads for all models of a board."""

    def __init__(self, tls: "Any" = None, hosts: "Sequence[str] | None" = None) -> None:
        """`tls`: an ssl.SSLContext for https that trusts the server's certificate authority;
        None: only http. `hosts`: as in ports.Fetcher, such as ["files.example.org"]. Raises
        ValueError for a host that is none."""
        from modelwave_shared.file_hosts import is_entry

        for entry in hosts or ():
            if not is_entry(entry):
                raise ValueError("hosts: %s is neither HOST nor HOST:PORT in lower case" % entry)
        self.tls = tls
        self.hosts = hosts

    async def fetch(self, url: str, intake: "Intake") -> None:
        """As in ports.Fetcher."""
        scheme, _, place, path = url.split("/", 3)
        tls = self._tls_for(scheme)
        host, port = self._listed(scheme, place)
        stream = await _timed(_connected(host, port, tls))
        try:
            await _transfer(stream, REQUEST % (path, place, intake.offset), intake)
        finally:
            await stream.wait_closed()  # this closes it

    def _listed(self, scheme: str, place: str) -> "tuple[str, int]":
        """Returns the host and the port of a URL, if they are listed."""
        from modelwave_shared.file_hosts import DEFAULT_PORTS, is_listed, parted

        hosts, scheme = self.allowed(), scheme[:-1]
        host, port = parted(place.lower())
        port = DEFAULT_PORTS[scheme] if port is None else port
        if not is_listed(hosts, scheme, host, port):
            raise FetchError(
                "the URL's host and port are not among the %d that files may come from: add them to"
                " hosts of HttpFetcher, or to the fleet's root" % len(hosts)
            )
        return host, port

    def _tls_for(self, scheme: str) -> "Any":
        """Returns the TLS context for the connection, or None for http."""
        if scheme == "http:":
            return None
        if scheme != "https:":
            raise FetchError("cannot be fetched here: the URL is neither http:// nor https://")
        if self.tls is None:
            raise FetchError("cannot be fetched here: HttpFetcher has no TLS context for https")
        return self.tls


async def _connected(host: str, port: int, tls: "Any") -> "Stream":
    stream: "Any"  # MicroPython gives the same Stream twice, to read from and to write to
    stream, _ = await asyncio.open_connection(host, port, ssl=tls)
    return stream  # type: ignore[no-any-return]


async def _transfer(stream: "Stream", request: str, intake: "Intake") -> None:
    """Sends the request, and writes the body of the answer to the intake."""
    buffer = memoryview(bytearray(BUFFER_BYTES))
    left = await _timed(_ask(stream, request, buffer, intake))
    skip = intake.offset if left == intake.wanted else 0  # the server sends the whole file
    while left:
        view = buffer[: min(left, BUFFER_BYTES)]
        got = await _timed(_fill(stream, view))
        passed = min(skip, got)
        skip -= passed
        left -= got
        intake.write(view[passed:got])
        if got < len(view):
            raise FetchError("the connection ended, %d bytes early" % left)


async def _ask(stream: "Stream", request: str, buffer: memoryview, intake: "Intake") -> int:
    """Sends the request, and reads and checks the head of the answer. Returns the length of the
    body."""
    stream.write(request.encode())
    await stream.drain()
    head = _Head(stream, buffer)
    status = (await head.line())[9:12]  # HTTP/1.1 200 OK
    if not status.isdigit():
        raise FetchError("the server does not answer in HTTP")
    length = None
    content_range = b""
    retry_after = 0
    while True:
        line = await head.line()
        if not line:
            break
        name, _, value = line.partition(b":")
        value = value.strip()
        if name == b"content-length":
            length = value
        elif name == b"content-range":
            content_range = value
        elif name == b"retry-after" and value.isdigit():  # a date says nothing without a clock
            retry_after = int(value[:9])
        elif name in (b"content-encoding", b"transfer-encoding") and value != b"identity":
            advice = "a board needs it plain, with a Content-Length"
            raise FetchError("the answer has a %s: %s" % (name.decode(), advice))
    if status not in (b"200", b"206"):
        advice = ": a board needs a URL without redirects" if status[:1] == b"3" else ""
        raise FetchError("the server answered %s%s" % (status.decode(), advice), retry_after)
    if length is None:  # the body ends with the connection
        length = b"%d" % (intake.wanted - (intake.offset if status == b"206" else 0))
    if not length.isdigit():
        raise FetchError("the answer's Content-Length is no number")
    size = int(length)
    if not (size == intake.wanted if status == b"200" else _is_rest(content_range, size, intake)):
        raise FetchError(
            "the answer is not the %d bytes asked for, nor the rest of them from byte %d on"
            % (intake.wanted, intake.offset)
        )
    return size


def _is_rest(content_range: bytes, size: int, intake: "Intake") -> bool:
    """Whether a range of `size` bytes begins at the end of the bank's file, and does not exceed
    the signed size. It may be shorter than requested."""
    end = intake.offset + size
    span = b"bytes %d-%d/" % (intake.offset, end - 1)
    return end <= intake.wanted and content_range in (span + b"*", span + b"%d" % intake.wanted)


class _Head:
    """Reads the head of an answer byte by byte, so that it reads nothing of the body."""

    def __init__(self, stream: "Stream", buffer: memoryview) -> None:
        self.stream = stream
        self.buffer = buffer
        self.left = MAX_HEAD_BYTES  # bytes that the rest of the head may have

    async def line(self) -> bytes:
        """Returns the next line without its end, in lower case; b"" at the end of the head."""
        size = 0
        while size < min(len(self.buffer), self.left):
            if not await _fill(self.stream, self.buffer[size : size + 1]):
                raise FetchError("the connection ended within the answer's head")
            size += 1
            if self.buffer[size - 1] == NEWLINE:
                self.left -= size
                end = size - 2 if bytes(self.buffer[:size]).endswith(b"\r\n") else size - 1
                return bytes(self.buffer[:end]).lower()
        raise FetchError("the answer's head has no end within %d bytes" % MAX_HEAD_BYTES)


async def _fill(stream: "Stream", view: memoryview) -> int:
    """Fills `view` from the stream. Returns the number of bytes; it is smaller than `view` only
    at the end of the stream."""
    size = 0
    while size < len(view):
        got = await stream.readinto(view[size:])
        if got == 0:
            break
        size += got or 0
    return size


async def _timed(work: "Awaitable[T]") -> "T":
    try:
        return await asyncio.wait_for(work, SILENCE_SECONDS)
    except asyncio.TimeoutError:
        raise FetchError("the server is silent: too little came in %s seconds" % SILENCE_SECONDS)
    except (OSError, ValueError) as error:  # TLS raises ValueError with the reason
        raise FetchError("the connection to the server failed: %s" % error)
