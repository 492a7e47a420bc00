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

    from modelwave_agent.banks import Intake

    T = TypeVar("T")

BUFFER_BYTES = 1024  # a line of the head fits in, too
HEAD_BYTES = 2048
SILENCE_SECONDS = 20
# The fields of the head that matter here; the others are not kept.
LENGTH = b"content-length"
RANGE = b"content-range"
ENCODING = b"content-encoding"
CHUNKED = b"transfer-encoding"
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
        stream, _ = await _timed(asyncio.open_connection(host, int(port), tls, host))
        try:
            await _transfer(stream, ASK % (path, place, intake.offset), intake)
        finally:
            stream.close()
            await stream.wait_closed()


async def _transfer(stream: "StreamReader", question: str, intake: "Intake") -> None:
    view = memoryview(bytearray(BUFFER_BYTES))
    left = _agreed(await _timed(_ask(stream, question, view)), intake)
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


async def _ask(stream: "StreamReader", question: str, view: memoryview) -> "dict[bytes, bytes]":
    """The fields that matter of the answer's head, and under b"" its first line."""
    stream.write(question.encode())
    await stream.drain()
    found: "dict[bytes, bytes]" = {}
    size = 0  # of the line
    for _ in range(HEAD_BYTES):
        # Byte by byte, so that nothing of the body is taken.
        if size == BUFFER_BYTES or not await _fill(stream, view[size : size + 1]):
            break
        size += 1
        if view[size - 1] == 10:
            line = bytes(view[:size]).strip()
            size = 0
            if not line:
                return found
            name, _, value = line.partition(b":")
            name = name.lower()
            if not found:
                found[b""] = line
            elif name in (LENGTH, RANGE, ENCODING, CHUNKED):
                found[name] = value.strip()
    raise FetchError("the head of the answer has no end")


def _agreed(found: "dict[bytes, bytes]", intake: "Intake") -> int:
    """How many bytes the body has, once the head agrees with what was asked for."""
    status = found.get(b"", b"")[9:12]
    length = found.get(LENGTH, b"")
    if status not in (b"200", b"206"):
        raise FetchError("the server answered %s" % status)
    if CHUNKED in found or found.get(ENCODING, b"identity") != b"identity":
        raise FetchError("the body is encoded")
    if not length.isdigit() or len(length) > 10:
        raise FetchError("the length of the answer is not said")
    size = int(length)
    end = intake.offset + size
    span = b"bytes %d-%d/" % (intake.offset, end - 1)
    if status == b"200":
        good = size == intake.wanted
    else:
        good = end <= intake.wanted and found.get(RANGE, b"") in (
            span + b"*",
            span + b"%d" % intake.wanted,
        )
    if not good:
        raise FetchError("the answer is not the range asked for of %d bytes" % intake.wanted)
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
