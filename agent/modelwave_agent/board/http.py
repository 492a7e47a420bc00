"""Downloads over HTTP, from where the bank's file ends.

A server may do no more than towards a host (host/http.py): it answers 206 with the range
asked for, or 200 with the whole file, of which the bytes that are there already are passed
over; it says how long its answer is, and what it says agrees with the signed size. No chunked
transfer, no redirects, nothing compressed. Each KiB of its answer comes within
SILENCE_SECONDS, and so does the head, which is short.
"""

import asyncio

from modelwave_agent.ports import Fetcher, FetchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import StreamReader
    from collections.abc import Awaitable
    from typing import TypeVar

    from modelwave_agent.intake import Intake

    T = TypeVar("T")

BUFFER_BYTES = 1024  # a line of the head fits in, too
HEAD_BYTES = 2048
SILENCE_SECONDS = 20
ASK = "GET /%s HTTP/1.1\r\nHost: %s\r\nRange: bytes=%d-\r\nAccept-Encoding: identity\r\n\r\n"


class HttpFetcher(Fetcher):
    """One serves all models of a board."""

    def __init__(self, tls=None) -> None:
        """`tls`: an ssl.SSLContext for https, which trusts the server's authority; None: http
        only."""
        self.tls = tls

    async def fetch(self, url: str, intake: "Intake") -> None:
        """As ports.Fetcher says. What the intake raises comes through as it is."""
        scheme, _, place, path = url.split("/", 3)
        tls = self.tls if scheme == "https:" else None
        host, _, port = place.partition(":")
        port = port or ("443" if tls else "80")
        if not (tls or scheme == "http:") or not port.isdigit():
            raise FetchError("cannot be fetched here: " + url)
        stream, _ = await _timed(asyncio.open_connection(host, int(port), tls))
        try:
            await _transfer(stream, ASK % (path, place, intake.offset), intake)
        finally:
            await stream.wait_closed()  # this closes it


async def _transfer(stream: "StreamReader", question: str, intake: "Intake") -> None:
    view = memoryview(bytearray(BUFFER_BYTES))
    left = await _timed(_ask(stream, question, view, intake))
    skip = intake.offset if left == intake.wanted else 0  # it has sent the whole file
    while left:
        view = view[:left]
        got = await _timed(_fill(stream, view))
        passed = min(skip, got)
        skip -= passed
        left -= got
        intake.write(view[passed:got])
        if got < len(view):
            raise FetchError("the connection ended, %d bytes early" % left)


async def _ask(stream: "StreamReader", question: str, view: memoryview, intake: "Intake") -> int:
    """How many bytes the body has; the head of the answer has been read then, and agrees with
    what is wanted."""
    stream.write(question.encode())
    await stream.drain()
    status = length = span = b""
    size = 0  # of the line
    for _ in range(HEAD_BYTES):
        # Byte by byte, so that nothing of the body is taken. None fits after a full buffer.
        if not await _fill(stream, view[size : size + 1]):
            break
        size += 1
        if view[size - 1] != 10:
            continue
        line = bytes(view[:size]).strip().lower()
        size = 0
        name, _, value = line.partition(b":")
        value = value.strip()
        if not line:
            return _agreed(status, length, span, intake)
        if not status:
            status = line[9:12] or line
        elif name == b"content-length":
            length = value
        elif name == b"content-range":
            span = value
        elif name in (b"content-encoding", b"transfer-encoding") and value != b"identity":
            raise FetchError("the body is encoded")
    raise FetchError("the answer's head has no end")


def _agreed(status: bytes, length: bytes, span: bytes, intake: "Intake") -> int:
    """The length of the body, if this is the file or the rest of it."""
    if status not in (b"200", b"206"):
        raise FetchError("the server answered %s" % status.decode())
    if not length.isdigit():
        raise FetchError("the answer has no length")
    size = int(length)
    end = intake.offset + size
    if status == b"200":
        good = size == intake.wanted
    else:
        start = b"bytes %d-%d/" % (intake.offset, end - 1)
        good = end <= intake.wanted and span in (start + b"*", start + b"%d" % intake.wanted)
    if not good:
        raise FetchError("the answer is not the %d bytes asked for" % intake.wanted)
    return size


async def _fill(stream: "StreamReader", view: memoryview) -> int:
    """How many bytes came: all that `view` holds, fewer only at the end."""
    size = 0
    while size < len(view):
        got = await stream.readinto(view[size:])
        if got == 0:
            break
        size += got or 0  # None: of TLS, what came was no data
    return size


async def _timed(work: "Awaitable[T]") -> "T":
    try:
        return await asyncio.wait_for(work, SILENCE_SECONDS)
    except asyncio.TimeoutError:
        raise FetchError("the server is silent")
    except (OSError, ValueError) as error:  # ValueError: TLS, with what is wrong in words
        raise FetchError(str(error))
