"""The HTTP server from which devices download files, by sha256 and in ranges.

GET or HEAD /files/<sha256>; /healthz says what is wrong with the service, /livez only whether it
hangs (vitals.py); /board/ serves the agent for boards (boards/serving.py). Only names of 64 hex
digits are looked up. Files never change, so caches may keep them forever. aiohttp sends them with
sendfile and answers Range and If-Range as in RFC 9110. What strangers can cost is bounded
(guard.py).
"""

import asyncio
import errno
import ipaddress
import socket
import stat
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from modelwave_controller.boards import serving
from modelwave_controller.connections import Bounds
from modelwave_controller.errors import OperatorError
from modelwave_controller.service.guard import (
    BODY_SECONDS,
    BOUNDS,
    Download,
    Guard,
    longest_seconds,
)
from modelwave_controller.service.vitals import HANGS, Vitals
from modelwave_controller.trust.file_places import bracketed

PREFIX = "/files"
BACKLOG = 256  # connections that the system holds until they are accepted
_CACHE = "public, max-age=31536000, immutable"


class AddressInUse(OperatorError):
    """Another program listens on the address of `files.listen`."""


class FileServer:
    """Serves the files in `folder`, and says how the service is, by its `vitals`; create it and use
    it in one event loop."""

    def __init__(self, folder: Path, vitals: Vitals, bounds: Bounds = BOUNDS) -> None:
        self._folder = folder
        self._vitals = vitals
        self._guard = Guard(bounds)
        self._server: asyncio.Server | None = None
        application = web.Application(middlewares=[self._guard.middleware])
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/livez", self._livez)
        application.router.add_get(PREFIX + "/{sha256:[0-9a-f]{64}}", self._file)
        serving.add_routes(application)
        # No access log: it would hold untrusted paths.
        self._runner = web.AppRunner(application, access_log=None, lingering_time=BODY_SECONDS)

    async def start(self, host: str, port: int) -> str:
        """Starts the server; port 0 takes a free one. Returns the URL that is the prefix of
        /<sha256>. Raises AddressInUse, or OperatorError if it cannot listen on the address."""
        await self._runner.setup()
        try:
            self._server = await self._listen(host, port)
        except OSError as error:
            await self._runner.cleanup()
            why = error.strerror or error
            kind = AddressInUse if error.errno == errno.EADDRINUSE else OperatorError
            raise kind(
                f"files.listen: cannot listen on {host}:{port}: {why}; choose another in "
                "controller.toml, or end the program that uses it"
            ) from error
        return url_of(host, self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()

    async def _listen(self, host: str, port: int) -> asyncio.Server:
        make = self._runner.server
        assert make is not None
        loop = asyncio.get_running_loop()
        return await loop.create_server(
            lambda: self._guard.protocol(make), host, port, backlog=BACKLOG
        )

    async def _file(self, request: web.Request) -> web.StreamResponse:
        path = self._folder / request.match_info["sha256"]
        size = await asyncio.to_thread(_size_of, path)
        if size is None:
            raise web.HTTPNotFound(text="no such file\n")
        headers = {"Cache-Control": _CACHE, "Content-Type": "application/octet-stream"}
        return Download(self._guard, longest_seconds(size), path, headers=headers)

    async def _healthz(self, _request: web.Request) -> web.Response:
        return _said(self._vitals.problems())

    async def _livez(self, _request: web.Request) -> web.Response:
        return _said([] if self._vitals.alive else [HANGS])


def _size_of(path: Path) -> int | None:
    """Returns the size of a plain file; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def url_of(host: str, port: int) -> str:
    return f"http://{bracketed(host)}:{port}{PREFIX}"


def doubt(urls: Sequence[str], broker: str) -> str:
    """Returns a warning if devices probably cannot download from these URLs, as they connect to
    the broker at host `broker`; "" if there is none. Raises OperatorError for 0.0.0.0 and ::,
    which no device can connect to."""
    hosts = [urlsplit(url).hostname or "" for url in urls]
    addresses = [_address(host) for host in hosts]
    for host, address in zip(hosts, addresses, strict=True):
        if address and address.is_unspecified:
            raise OperatorError(
                f"files.urls: devices cannot download from {host}: in controller.toml set "
                'urls = ["http://ADDRESS:PORT/files"], with an address that they reach'
            )
    there = _address(broker)
    if all(a and a.is_loopback for a in addresses) and not (there and there.is_loopback):
        return (
            f"files.urls: orders name {hosts[0]} for downloads, which on a device is the device "
            f"itself, while the broker is at {broker}: set urls in controller.toml"
        )
    return ""


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Reads an address as the system does: "0" and "127.1" are addresses too. None for a name."""
    try:
        return ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        try:
            return ipaddress.ip_address(socket.inet_aton(host))
        except (OSError, ValueError):  # ValueError: a name beyond ASCII
            return None


def _said(problems: list[str]) -> web.Response:
    lines = "".join(f"{problem}\n" for problem in problems or ["ok"])
    return web.Response(text=lines, status=503 if problems else 200)
