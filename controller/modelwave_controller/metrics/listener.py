"""A small HTTP listener for those who watch a process that serves nothing else (`ingest`)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

from modelwave_controller.connections import Bounds
from modelwave_controller.errors import OperatorError
from modelwave_controller.metrics.handlers import Watched
from modelwave_controller.service.guard import BODY_SECONDS, Guard
from modelwave_controller.trust.file_places import bracketed

BOUNDS = Bounds(all=50, by_address=25, waiting_by_address=10)


@contextlib.asynccontextmanager
async def listening(watched: Watched, host: str, port: int) -> AsyncIterator[str]:
    """Answers until the end of the block; port 0 takes a free one. Yields the URL. Raises
    OperatorError if it cannot listen on the address."""
    guard = Guard(BOUNDS)
    application = web.Application(middlewares=[guard.middleware])
    watched.add_routes(application)
    runner = web.AppRunner(application, access_log=None, lingering_time=BODY_SECONDS)
    await runner.setup()
    make = runner.server
    assert make is not None
    try:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: guard.protocol(make), host, port)
    except OSError as error:
        await runner.cleanup()
        raise OperatorError(
            f"--listen: cannot listen on {host}:{port}: {error.strerror or error}; choose another "
            "address, or end the program that uses it"
        ) from error
    try:
        yield f"http://{bracketed(host)}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await runner.cleanup()
