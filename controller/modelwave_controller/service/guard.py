"""Bounds what strangers can cost an HTTP server: connections, time, and lines in the log.

A connection waits until its request is complete, with a body that is wanted (`whole_body`), and
again when it was answered. It is ended when
that takes too long, and the oldest at once where a new one wants its place (connections.py): so a
complete request is answered, however many half ones there are. Where none waits, a new one is told
503. Answers have to be read.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from modelwave_controller import descriptors, few_lines
from modelwave_controller.connections import Bounds, Connections, Place
from modelwave_controller.errors import MalformedError

logger = logging.getLogger(__name__)

# An answer has a connection and a file open. The service's connections to the broker use select(),
# which knows 1,024 descriptors.
MAX_CONNECTIONS = 400
BOUNDS = Bounds(all=MAX_CONNECTIONS, by_address=300, waiting_by_address=100)

# From the start of a connection, or its last answer, to the end of the next request's head.
REQUEST_SECONDS = 15.0
# How long a body that is not wanted may take before the connection is closed, and one that is.
BODY_SECONDS = 5.0
WANTED_BODY_SECONDS = 60.0
# What was sent and is not acknowledged for so long, or not read, ends the connection.
UNREAD_SECONDS = 60
# An answer may take this time, and that for its bytes. Agents on hosts break off below 1 KiB/s; a
# slower board goes on with a range.
ANSWER_SECONDS = 300.0
LEAST_BYTES_A_SECOND = 1000

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 30\r\nConnection: close\r\n"
    b"Content-Length: 0\r\n\r\n"
)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Guard:
    """Stands before an aiohttp server; create it in the server's event loop."""

    def __init__(self, bounds: Bounds = BOUNDS) -> None:
        most = descriptors.allow(2 * bounds.all) // 2
        self.connections = Connections(bounds._replace(all=most))
        self._guarded: dict[asyncio.BaseTransport, _Guarded] = {}
        for name in (__name__, "aiohttp.server", "asyncio"):
            few_lines.bound(name)

    def protocol(self, make: Callable[[], asyncio.Protocol]) -> asyncio.Protocol:
        """Returns the protocol of a new connection; `make` makes that of the server."""
        return _Guarded(self, make)

    @web.middleware
    async def middleware(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Keeps the place of a connection while its request is handled."""
        self.serve(request.transport)
        try:
            return await handler(request)
        finally:
            self.wait(request.transport)

    def serve(self, transport: asyncio.BaseTransport | None) -> None:
        if transport in self._guarded:
            self._guarded[transport].serve()

    def wait(
        self, transport: asyncio.BaseTransport | None, seconds: float = REQUEST_SECONDS
    ) -> None:
        if transport in self._guarded:
            self._guarded[transport].wait(seconds)

    def entered(self, transport: asyncio.Transport, guarded: "_Guarded") -> Place | None:
        self._guarded[transport] = guarded
        return self.connections.enter(_address(transport), guarded.make_place)

    def left(self, transport: asyncio.Transport, place: Place | None) -> None:
        self._guarded.pop(transport, None)
        if place is not None:
            self.connections.leave(place)


GUARD = web.AppKey("guard", Guard)  # of an application whose requests may have bodies


async def whole_body(request: web.Request) -> bytes:
    """Returns the body, which is bounded by the application's size. Raises ConnectionError if it
    does not come in time, or another connection wants the place, MalformedError if it is none."""
    guard = request.app[GUARD]
    guard.wait(request.transport, WANTED_BODY_SECONDS)
    try:
        return await request.read()
    except web.RequestPayloadError:  # its text has what came
        raise MalformedError("the body: it is not what HTTP says how it comes") from None
    finally:
        guard.serve(request.transport)


class _Guarded(asyncio.Protocol):
    """Passes everything on to the server's own protocol, but for a connection without a place."""

    _transport: asyncio.Transport

    def __init__(self, guard: Guard, make: Callable[[], asyncio.Protocol]) -> None:
        self._guard = guard
        self._make = make
        self._inner: asyncio.Protocol | None = None
        self._place: Place | None = None
        self._timer: asyncio.TimerHandle | None = None

    def serve(self) -> None:
        if self._place is not None:
            self._guard.connections.serve(self._place)
        self._stop_timer()

    def wait(self, seconds: float) -> None:
        if self._place is not None:
            self._guard.connections.wait(self._place)
        self._stop_timer()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(seconds, self._transport.abort)

    def make_place(self) -> None:
        said = "ended a connection of %s that waited, as there are too many"
        logger.warning(said, _address(self._transport))
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._place = self._guard.entered(transport, self)
        if self._place is None:
            logger.warning("refused a connection of %s: there are too many", _address(transport))
            transport.write(_FULL)
            transport.close()
            return
        _end_if_unread(transport)
        self.wait(REQUEST_SECONDS)
        self._inner = self._make()
        self._inner.connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._stop_timer()
        self._guard.left(self._transport, self._place)
        if self._inner is not None:
            self._inner.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if self._inner is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._inner is not None else None

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Download(web.FileResponse):
    """The answer with a file. It keeps its connection's place, and has to be read in time."""

    def __init__(self, guard: Guard, seconds: float, path: Path, headers: dict[str, str]) -> None:
        super().__init__(path, headers=headers)
        self._guard = guard
        self._seconds = seconds

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        transport = request.transport
        self._guard.serve(transport)
        try:
            async with asyncio.timeout(self._seconds):
                return await super().prepare(request)
        except TimeoutError:
            if transport is not None:
                transport.abort()
            raise ConnectionResetError("the client reads too slowly") from None
        finally:
            self._guard.wait(transport)


def longest_seconds(size: int) -> float:
    """Returns how long an answer of so many bytes may take."""
    return ANSWER_SECONDS + size / LEAST_BYTES_A_SECOND


def _address(transport: asyncio.BaseTransport) -> str:
    return str((transport.get_extra_info("peername") or ("",))[0])


def _end_if_unread(transport: asyncio.Transport) -> None:
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        milliseconds = UNREAD_SECONDS * 1000
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
