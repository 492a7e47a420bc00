"""Downloads over HTTP and HTTPS, starting where the bank's file ends.

The rules for a server are strict, so that a malicious one can do little harm:

  - It answers 206 with the requested range, or 200 with the whole file, of which the bytes that
    are present already are skipped. If it sends the length of its answer, that must agree with the
    signed size; if it does not (answer.py), the answer is read up to the signed size. The answer is
    not compressed.
  - It redirects only as redirects.py allows.
  - It keeps a least rate (`Pace`), so that a slow server cannot occupy a device for days.
  - It is one of the listed hosts, and has an address that a device may connect to (place.py).

Errors begin with the listed host of the URL, and have nothing that a server sent but its status
(faults.py).

Proxies are not used. A transfer is one connection and one thread. Because the thread writes to
the bank, a cancelled fetch stops it and waits for its end.
"""

import asyncio
import contextlib
import datetime
import email.utils
import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from modelwave_agent.host.answer import Body, Head, body_of, read_head
from modelwave_agent.host.faults import in_words
from modelwave_agent.host.place import AGENT_SETTINGS, FileAddress, locate
from modelwave_agent.host.redirects import MAX_REDIRECTS, STATUSES, RedirectHost, follow
from modelwave_agent.ports import Fetcher, FetchError
from modelwave_agent.record import said
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

    def __init__(
        self,
        ca_file: str = "",
        pace: Pace = Pace(),
        redirect_hosts: Sequence[RedirectHost] = (),
        hosts: Sequence[str] | None = None,
        private_networks: bool = False,
        settings: str = AGENT_SETTINGS,
    ) -> None:
        """`ca_file` is a PEM file with the authorities to trust for https; "" means the
        system's. `redirect_hosts`: where redirects may lead. `hosts`: as in ports.Fetcher.
        `private_networks`: whether a host's name may lead into a private network. `settings`: where
        both are set, for errors. Raises OSError if the file cannot be used."""
        self.authorities = Authorities(ca_file)
        self.pace = pace
        self.redirect_hosts = redirect_hosts
        self.hosts = hosts
        self.private_networks = private_networks
        self.settings = settings

    async def fetch(self, url: str, intake: Sink) -> None:
        """Fetches as ports.Fetcher describes. Raises FetchError, and exceptions of the intake."""
        seconds = self.pace.connect_seconds
        signed = await locate(url, seconds, self.allowed(), self.private_networks, self.settings)
        try:
            await self._follow(signed, intake)
        except FetchError as error:
            raise FetchError(f"{signed.host}: {error}", error.retry_after) from error

    async def _follow(self, signed: FileAddress, intake: Sink) -> None:
        """Fetches from the signed address, or from where it redirects. Raises FetchError."""
        place, seconds = signed, self.pace.connect_seconds
        for _ in range(MAX_REDIRECTS):
            location = await self._transfer(place, intake)
            if location is None:
                return
            place = await follow(signed, place, location, self.redirect_hosts, seconds)
        if await self._transfer(place, intake) is not None:
            raise FetchError(f"it redirects more than {MAX_REDIRECTS} times")

    async def _transfer(self, place: FileAddress, intake: Sink) -> str | None:
        """Does one request; returns the Location if the server redirects, else None."""
        tls = self.authorities.context() if place.secure else None
        transfer = _Transfer(place, tls, intake, self.pace)
        thread = ThreadPoolExecutor(max_workers=1)
        try:
            work = asyncio.get_running_loop().run_in_executor(thread, transfer.run)
        except RuntimeError as error:  # such as too many threads on this device
            raise FetchError(f"this device has no thread for it: {said(error)}") from error
        finally:
            thread.shutdown(wait=False)  # the thread ends after its only task
        try:
            return await self._watch(transfer, work)
        finally:
            transfer.stop()
            await _settled(work)

    async def _watch(self, transfer: "_Transfer", work: "asyncio.Future[str | None]") -> str | None:
        """Waits until the transfer is done. Raises FetchError if it is too slow."""
        while True:
            before = transfer.received
            done, _ = await asyncio.wait([work], timeout=self.pace.watch_seconds)
            if done:
                return work.result()
            came = transfer.received - before
            if came < self.pace.least_bytes:
                raise FetchError(f"too slow, {came} bytes in {self.pace.watch_seconds:g} seconds")


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

    def run(self) -> str | None:
        """Returns the Location if the server redirects; None if the body was received."""
        with contextlib.ExitStack() as stack:
            with self._network():
                connected = stack.enter_context(self._connect())
                stream = stack.enter_context(connected.makefile("rb"))
                head = self._ask(connected, stream)
                if head.status in STATUSES:
                    return _location(head)
                skip, left = _agreed(head, self.intake.offset, self.intake.wanted)
                body = body_of(head, stream)
            self._receive(body, skip, left)
            return None

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

    def _ask(self, connected: socket.socket, stream: BinaryIO) -> Head:
        """Sends the request and returns the head of the answer."""
        place, offset = self.place, self.intake.offset
        lines = [f"GET {place.path} HTTP/1.1", f"Host: {place.authority}"]
        lines += ["Accept-Encoding: identity", "Connection: close"]
        if offset:
            lines.append(f"Range: bytes={offset}-")
        connected.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
        return read_head(stream)

    def _receive(self, body: Body, skip: int, left: int) -> None:
        """Writes `left` bytes of the body to the intake, but for the first `skip`."""
        while left:
            with self._network():
                piece = body.read(min(left, PIECE_BYTES))
                if not piece:
                    raise FetchError(f"the connection ended, {left} bytes early")
            if self._stopped:
                raise FetchError("stopped")
            left -= len(piece)
            self.received += len(piece)
            passed = min(skip, len(piece))
            skip -= passed
            self.intake.write(memoryview(piece)[passed:])

    @contextlib.contextmanager
    def _network(self) -> Iterator[None]:
        """Makes FetchErrors of the errors of the connection."""
        try:
            yield
        except OSError as error:
            raise FetchError(in_words(error)) from error


def _location(head: Head) -> str:
    if "location" not in head.fields:
        raise FetchError(f"the server answered {head.status} without a Location")
    return head.get("location")


def _agreed(head: Head, offset: int, wanted: int) -> tuple[int, int]:
    """Returns (bytes to skip, bytes of the body). Raises FetchError if the answer's head does not
    agree with the request."""
    status = head.status
    if status not in (200, 206):
        problem = f"the server answered {status}"
        raise FetchError(problem, _retry_after(head.get("retry-after")))
    if head.get("content-encoding").lower() not in ("", "identity"):
        raise FetchError("the body has a Content-Encoding, which was not requested")
    length = head.length()
    if status == 206:
        return 0, _range_length(head.get("content-range"), offset, wanted, length)
    if length not in (None, wanted):
        raise FetchError(f"the server's file has not the {wanted} bytes that are signed")
    return offset, wanted


def _retry_after(text: str) -> float:
    """Returns the seconds of a Retry-After header (RFC 9110, section 10.2.3), which has seconds or
    a date; 0 if it has neither."""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0
    if date.tzinfo is None:
        return 0
    return max(0, (date - datetime.datetime.now(datetime.UTC)).total_seconds())


def _range_length(text: str, offset: int, wanted: int, length: int | None) -> int:
    """Returns the bytes of the range that a Content-Range header tells. `length`: of the body, if
    the server sends it. Raises FetchError if it is not what was requested."""
    found = _CONTENT_RANGE.fullmatch(text)
    if not found:
        raise FetchError("Content-Range is not a range")
    first, last = int(found[1]), int(found[2])
    size = last - first + 1
    if first != offset or not 0 < size <= wanted - offset or length not in (None, size):
        raise FetchError(
            f"Content-Range is not what was requested, bytes from {offset} of {wanted}"
        )
    if found[3] not in ("*", str(wanted)):
        raise FetchError(f"the server's file has not the {wanted} bytes that are signed")
    return size


async def _settled(work: "asyncio.Future[Any]") -> None:
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
