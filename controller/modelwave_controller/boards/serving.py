"""Serves the package over HTTP: /board/package.json and the files that it names. It is built at
the first request."""

import asyncio
import functools
import logging
import re

from aiohttp import web

from modelwave_controller.boards import package
from modelwave_controller.errors import OperatorError

PREFIX = "/board"

_PROXIES = {"forwarded", "x-forwarded-for", "x-forwarded-host", "via"}

logger = logging.getLogger(__name__)


def add_routes(application: web.Application) -> None:
    application.router.add_get(PREFIX + "/{path:.+}", Handler().answer)


class Handler:
    """Answers the requests of an application from files in memory, never from the disk."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()  # two requests at once must not build it twice
        self._build = functools.cache(_built)

    async def answer(self, request: web.Request) -> web.Response:
        async with self._turn:
            files = await asyncio.to_thread(self._build)
        if isinstance(files, OperatorError):
            text = f"{files}; then start the controller again\n"
            raise web.HTTPServiceUnavailable(text=text)
        path = request.match_info["path"]
        body = files.get(path)
        if body is None:
            raise web.HTTPNotFound(text=f"no such file; begin with {PREFIX}/{package.INDEX}\n")
        if path in package.INDEXES:
            body = package.absolute(body, _base(request))
        kind = "application/json" if path.endswith(".json") else "application/octet-stream"
        # After an update of the controller the same path may have another file.
        return web.Response(body=body, headers={"Cache-Control": "no-cache", "Content-Type": kind})


def _built() -> package.Files | OperatorError:
    """Builds the package, or returns the error: it is cached too, because a build takes seconds and
    anyone may request it."""
    try:
        return package.build()
    except OperatorError as error:
        logger.warning("cannot build the agent for boards: %s", error)
        return error


# RFC 3986: a name, an address, or an IPv6 address in brackets; then the port, if any.
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")


def _base(request: web.Request) -> str:
    """Returns the URL that the board used, up to the path; "" behind a proxy, as only the proxy
    knows it. A port in the Host header is kept, as it may be mapped to ours; MicroPython's
    `requests` sends none. Raises HTTPBadRequest for a wrong Host header."""
    if _PROXIES & set(map(str.lower, request.headers)):
        return ""
    found = _HOST.fullmatch(request.headers.get("Host", ""))
    if not found or not 0 < int(found[2] or 1) <= 65535:
        raise web.HTTPBadRequest(text="Host: no host, or no port\n")
    assert request.transport is not None
    port = found[2] or request.transport.get_extra_info("sockname")[1]
    return f"{request.scheme}://{found[1]}:{port}{PREFIX}/"
