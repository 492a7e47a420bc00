"""The package over HTTP: /board/package.json and what it names. Made when a board first asks."""

import asyncio
import functools
import logging

from aiohttp import web

from modelwave_controller.boards import package
from modelwave_controller.errors import OperatorError

PREFIX = "/board"

_PROXIES = {"forwarded", "x-forwarded-for", "x-forwarded-host", "via"}

logger = logging.getLogger(__name__)


def add_routes(application: web.Application) -> None:
    application.router.add_get(PREFIX + "/{path:.+}", Handler().answer)


class Handler:
    """One serves an application; an answer is looked up by its path and never on a disk."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()  # two boards that ask at once do not build it twice
        self._build = functools.cache(package.build)

    async def answer(self, request: web.Request) -> web.Response:
        try:
            async with self._turn:
                files = await asyncio.to_thread(self._build)
        except OperatorError as error:
            logger.warning("the agent for boards: %s", error)
            raise web.HTTPServiceUnavailable(text=f"{error}\n") from error
        path = request.match_info["path"]
        body = files.get(path)
        if body is None:
            raise web.HTTPNotFound(text=f"no such file; begin with {PREFIX}/{package.INDEX}\n")
        if path in package.INDEXES:
            body = package.absolute(body, _base(request))
        kind = "application/json" if path.endswith(".json") else "application/octet-stream"
        # The same path is another file after the controller was updated.
        return web.Response(body=body, headers={"Cache-Control": "no-cache", "Content-Type": kind})


def _base(request: web.Request) -> str:
    """What the board was asked for, up to the path. Behind a proxy only the proxy knows; and
    MicroPython's `requests` leaves the port out of what it says."""
    if _PROXIES & set(map(str.lower, request.headers)):
        return ""
    assert request.transport is not None
    port = request.transport.get_extra_info("sockname")[1]
    return str(request.url.origin().with_port(port)) + PREFIX + "/"
