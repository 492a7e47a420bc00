"""Downloads over HTTP and HTTPS, starting where the bank's file ends.

The rules for a server are strict, so that a malicious one can do little harm:

  - It answers 206 with the requested range, or 200 with the whole file, of which the bytes that
    are present already are skipped. It sends the length of its answer (no chunked transfer),
    which must agree with the signed size. The answer is not compressed.
  - It does not redirect. A release is at URL/<sha256>, and the order with the URL is signed, so
    a redirect would lead to a server that was not signed.
  - It keeps a least rate (`Pace`), so that a slow server cannot occupy a device for days.
  - It has an address that a device may connect to (place.py).

Proxies are not used. A transfer is one connection and one thread. Because the thread writes to
the bank, a cancelled fetch stops it and waits for its end.
"""

import asyncio
import contextlib
import datetime
import email.utils
import http.client
import re
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from modelwave_agent.host.place import FileAddress, resolve
from modelwave_agent.ports import Fetcher, FetchError
from modelwave_shared.authorities import Authorities

# The most that one recv takes: small enough to stay in the CPU's cache for hashing and writing.
PIECE_BYTES = 256 * 1024

_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15}|\*)", re.ASCII)


@dataclass(frozen=True)
class Pace:
    """How slow a server may be. The last two fields are the least rate: 1 KiB per second on average
    over half a minute, from the first packet on."""

    connect_seconds: float = 10  # to resolve the name, and to connect
    silence_seconds: float = 20
    watch_seconds: float = 30
    least_bytes: int = 30 * 1024


class Sink(Protocol):
    """The part of intake.Intake that a transfer uses."""

    offset: int
    wanted: int

    def write(self, data: memoryview) -> None: ...


class HostHttpFetcher(Fetcher):
    """Fetches files over HTTP and HTTPS; one object is enough for a process."""

    def __init__(self, ca_file: str = "", pace: Pace = Pace()) -> None:
        """`ca_file` is a PEM file with the authorities to trust for https; "" means the
        system's. Raises OSError if it cannot be used."""
        self.authorities = Authorities(ca_file)
        self.pace = pace

    async def fetch(self, url: str, intake: Sink) -> None:
        """Fetches as ports.Fetcher describes. Raises FetchError, and exceptions of the intake."""
        place = await resolve(url, self.pace.connect_seconds)
        tls = self.authorities.context() if place.secure else None
        transfer = _Transfer(place, tls, intake, self.pace)
        thread = ThreadPoolExecutor(max_workers=1)
        work = asyncio.get_running_loop().run_in_executor(thread, transfer.run)
        thread.shutdown(wait=False)  # the thread ends after its only task
        try:
            await self._watch(transfer, work)
        finally:
            transfer.stop()
            await _settled(work)

    async def _watch(self, transfer: "_Transfer", work: "asyncio.Future[None]") -> None:
        """Waits until the transfer is done. Raises FetchError if it is too slow."""
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
        """Makes `run`, in its thread, end soon and write nothing more."""
        self._stopped = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                # Not SSLSocket's own shutdown: after it, ciphertext would be read as plain data.
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
        """Sets the socket that `stop` shuts down. Raises OSError if it was called already."""
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
        """Writes the body to the intake."""
        skip, left = _agreed(response, self.intake.offset, self.intake.wanted)
        while left:
            with self._network():
                # One recv per turn, so that received bytes are written even if the rest is slow.
                # (BufferedReader.readinto1 would wait for more although it has some.)
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
    """Returns (bytes to skip, bytes of the body). Raises FetchError if the answer's head does not
    agree with the request."""
    status, length = response.status, response.length
    if 300 <= status < 400:
        place = response.headers.get("Location", "nowhere")
        raise FetchError(f"redirects are not followed ({status} to {place!r})")
    if status not in (200, 206):
        problem = f"the server answered {status} {response.reason}"
        raise FetchError(problem, _retry_after(response.headers.get("Retry-After", "")))
    coding = response.headers.get("Content-Encoding", "identity")
    if coding != "identity":
        raise FetchError(f"the body is encoded ({coding}), which was not requested")
    if length is None:
        raise FetchError("the server does not send the length of its answer")
    if status == 206:
        _check_range(response.headers.get("Content-Range", ""), offset, wanted, length)
        return 0, length
    if length != wanted:
        raise FetchError(f"the server's file has {length} bytes, {wanted} are signed")
    return offset, length


def _retry_after(text: str) -> float:
    """Returns the seconds of a Retry-After header (RFC 9110, section 10.2.3), which has seconds or
    a date; 0 if it has neither."""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        date = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return 0
    if date.tzinfo is None:
        return 0
    return max(0, (date - datetime.datetime.now(datetime.UTC)).total_seconds())


def _check_range(text: str, offset: int, wanted: int, length: int) -> None:
    found = _CONTENT_RANGE.fullmatch(text)
    if not found:
        raise FetchError(f"Content-Range is not a range: {text!r}")
    first, last = int(found[1]), int(found[2])
    if first != offset or last - first + 1 != length or last >= wanted:
        raise FetchError(
            f"Content-Range is {text}, but bytes from {offset} of {wanted} were requested"
        )
    if found[3] not in ("*", str(wanted)):
        raise FetchError(f"the server's file has {found[3]} bytes, {wanted} are signed")


async def _settled(work: "asyncio.Future[None]") -> None:
    """Waits until `work` is done, even if the waiting is cancelled. Its exception was reported
    already, or does not matter any more."""
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
