"""Serves the agent for boards over HTTP: /board/install.py and the files that it names
(installer.py). It is built at the first request. The lists of mip are not served, as it would
install whatever the network sends."""

import asyncio
import functools
import logging

from aiohttp import web

from modelwave_controller.boards import package
from modelwave_controller.boards.installer import INSTALLER, PREFIX, program
from modelwave_controller.errors import OperatorError

NO_LISTS = (
    "mip does not check what it installs: use the line of `modelwave board line`, or `modelwave"
    " board build DIR` and mpremote mip install DIR/package.json\n"
)

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
        if path in package.INDEXES:
            raise web.HTTPForbidden(text=NO_LISTS)
        body = files.get(path)
        if body is None:
            raise web.HTTPNotFound(text=f"no such file; begin with {PREFIX}/{INSTALLER}\n")
        # After an update of the controller the same path may have another file.
        headers = {"Cache-Control": "no-cache", "Content-Type": "application/octet-stream"}
        return web.Response(body=body, headers=headers)


def _built() -> package.Files | OperatorError:
    """Builds the package, or returns the error: it is cached too, because a build takes seconds and
    anyone may request it."""
    try:
        files = package.build()
        return files | {INSTALLER: program(files)}
    except OperatorError as error:
        logger.warning("cannot build the agent for boards: %s", error)
        return error
