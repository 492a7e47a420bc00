"""Downloads over HTTP and HTTPS, from where the bank's file ends.

What a server may do is narrow, so that a strange one costs little:

  - It answers 206 with the range asked for, or 200 with the whole file, of which the bytes
    that are there already are passed over. It says how long its answer is (no chunked
    transfer), and what it says agrees with the signed size. Nothing is compressed.
  - It does not redirect. A release is at URL/<sha256>, and the order is signed: a server
    that sends devices elsewhere is not the one that was meant.
  - It keeps a pace (`Pace`): a byte a second does not hold a device for days.
  - It is at an address that a device may ask (place.py).

Proxies are not used. One transfer is one connection and one thread, which is told to stop
and waited for when the fetch is cancelled, as it writes to the bank.
"""

import asyncio
import contextlib
import http.client
import re
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from modelwave_agent.host.place import FileAddress, resolve
from modelwave_agent.ports import Fetcher, FetchError

# The most that one recv takes; it is hashed and written while it is still in the cache.
PIECE_BYTES = 256 * 1024

_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15}|\*)", re.ASCII)


@dataclass(frozen=True)
class Pace:
    """How slow a server may be. The last two are the least rate: 1 KiB a second, judged
    over half a minute, from the first packet on."""

    connect_seconds: float = 10  # also for the name
    silence_seconds: float = 20
    watch_seconds: float = 30
    least_bytes: int = 30 * 1024


class Sink(Protocol):
    """What a transfer needs of intake.Intake."""

    offset: int
    wanted: int

    def write(self, data: memoryview) -> None: ...


class HostHttpFetcher(Fetcher):
    """One serves a whole process."""

    def __init__(self, ca_file: str = "", pace: Pace = Pace()) -> None:
        """`ca_file`: the authorities to trust for https, PEM; "" for the system's."""
        self.ca_file = ca_file
        self.pace = pace

    async def fetch(self, url: str, intake: Sink) -> None:
        """As ports.Fetcher says. What the intake raises comes through as it is."""
        place = await resolve(url, self.pace.connect_seconds)
        transfer = _Transfer(place, self._tls if place.secure else None, intake, self.pace)
        thread = ThreadPoolExecutor(max_workers=1)
        work = asyncio.get_running_loop().run_in_executor(thread, transfer.run)
        thread.shutdown(wait=False)  # it ends with its one task
        try:
            await self._watch(transfer, work)
        finally:
            transfer.stop()
            await _settled(work)

    async def _watch(self, transfer: "_Transfer", work: "asyncio.Future[None]") -> None:
        """Returns when the transfer is done; FetchError if it does not keep its pace."""
        while True:
            before = transfer.received
            done, _ = await asyncio.wait([work], timeout=self.pace.watch_seconds)
            if done:
                return work.result()
            came = transfer.received - before
            if came < self.pace.least_bytes:
                raise FetchError(
                    f"{transfer.place.host}: too slow, {came} bytes"
                    f" in {self.pace.watch_seconds:g} seconds"
                )

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca_file or None)


class _Transfer:
    """One request and its answer, in a thread of its own."""

    def __init__(
        self, place: FileAddress, tls: ssl.SSLContext | None, intake: Sink, pace: Pace
    ) -> None:
        self.place = place
        self.tls = tls
        self.intake = intake
        self.pace = pace
        self.received = 0  # bytes of the body, for the watch
        self._socket: socket.socket | None = None
        self._stopped = False

    def run(self) -> None:
        with contextlib.ExitStack() as stack:
            with self._network():
                connected = stack.enter_context(self._connect())
                response = stack.enter_context(self._ask(connected))
            self._receive(response)

    def stop(self) -> None:
        """From another thread: `run` ends soon, and writes nothing more."""
        self._stopped = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                # Not SSLSocket's own shutdown, after which it reads ciphertext as if plain.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _connect(self) -> socket.socket:
        problem: OSError | None = None
        for family, address in self.place.addresses:
            try:
                return self._connect_to(family, address)
            except OSError as error:
                problem = error
        raise problem or OSError("no address")

    def _connect_to(self, family: int, address: Any) -> socket.socket:
        connected = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._hold(connected)
            connected.settimeout(self.pace.connect_seconds)
            connected.connect(address)
            if self.tls:
                connected = self.tls.wrap_socket(
                    connected, server_hostname=self.place.host, do_handshake_on_connect=False
                )
                self._hold(connected)
                connected.do_handshake()
            connected.settimeout(self.pace.silence_seconds)
        except OSError:
            connected.close()
            raise
        return connected

    def _hold(self, connected: socket.socket) -> None:
        """What `stop` will shut down."""
        self._socket = connected
        if self._stopped:
            raise OSError("stopped")

    def _ask(self, connected: socket.socket) -> http.client.HTTPResponse:
        kind = http.client.HTTPSConnection if self.tls else http.client.HTTPConnection
        connection = kind(self.place.host, self.place.port)
        connection.sock = connected
        headers = {"Connection": "close"}  # http.client adds Accept-Encoding: identity
        if self.intake.offset:
            headers["Range"] = f"bytes={self.intake.offset}-"
        connection.request("GET", self.place.path, headers=headers)
        return connection.getresponse()

    def _receive(self, response: http.client.HTTPResponse) -> None:
        """Feeds the body to the intake."""
        skip, left = _agreed(response, self.intake.offset, self.intake.wanted)
        while left:
            with self._network():
                # One recv a turn: what came is written, however slow the rest is.
                # (BufferedReader.readinto1 would wait for more where it has some.)
                piece = response.read1(min(left, PIECE_BYTES))
            if self._stopped:
                raise FetchError("stopped")
            if not piece:
                raise FetchError(f"the connection ended, {left} bytes early")
            left -= len(piece)
            self.received += len(piece)
            passed = min(skip, len(piece))
            skip -= passed
            self.intake.write(memoryview(piece)[passed:])

    @contextlib.contextmanager
    def _network(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            said = str(error) or type(error).__name__
            raise FetchError(f"{self.place.host}: {said}") from error


def _agreed(response: http.client.HTTPResponse, offset: int, wanted: int) -> tuple[int, int]:
    """(bytes to pass over, bytes of the body), once the answer's head agrees with what was
    asked for. FetchError."""
    status, length = response.status, response.length
    if 300 <= status < 400:
        place = response.headers.get("Location", "nowhere")
        raise FetchError(f"redirects are not followed ({status} to {place!r})")
    if status not in (200, 206):
        raise FetchError(f"the server answered {status} {response.reason}")
    coding = response.headers.get("Content-Encoding", "identity")
    if coding != "identity":
        raise FetchError(f"the body is encoded ({coding}), which was not asked for")
    if length is None:
        raise FetchError("the server does not say how long its answer is")
    if status == 206:
        _check_range(response.headers.get("Content-Range", ""), offset, wanted, length)
        return 0, length
    if length != wanted:
        raise FetchError(f"the server's file has {length} bytes, {wanted} are signed")
    return offset, length


def _check_range(text: str, offset: int, wanted: int, length: int) -> None:
    found = _CONTENT_RANGE.fullmatch(text)
    if not found:
        raise FetchError(f"Content-Range is no range: {text!r}")
    first, last = int(found[1]), int(found[2])
    if first != offset or last - first + 1 != length or last >= wanted:
        raise FetchError(f"Content-Range {text} where bytes from {offset} of {wanted} belong")
    if found[3] not in ("*", str(wanted)):
        raise FetchError(f"the server's file has {found[3]} bytes, {wanted} are signed")


async def _settled(work: "asyncio.Future[None]") -> None:
    """Returns when `work` is done, however often the waiting is cancelled. What it raised
    has been told, or does not matter any more."""
    cancelled = False
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            cancelled = True
    if not work.cancelled():
        work.exception()
    if cancelled:
        raise asyncio.CancelledError
