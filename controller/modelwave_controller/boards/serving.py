"""The package over HTTP: /board/package.json and what it names. Made when a board first asks."""

import asyncio
import functools
import logging

from aiohttp import web

from modelwave_controller.boards import package
from modelwave_controller.errors import OperatorError

PREFIX = "/board"

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
        body = files.get(request.match_info["path"])
        if body is None:
            raise web.HTTPNotFound(text=f"no such file; begin with {PREFIX}/{package.INDEX}\n")
        kind = "application/json" if request.path.endswith(".json") else "application/octet-stream"
        # The same path is another file after the controller was updated.
        return web.Response(body=body, headers={"Cache-Control": "no-cache", "Content-Type": kind})
