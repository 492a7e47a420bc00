"""Keeps the home's own access token (people/local_token.py) valid while a service answers
operators: so whoever has the home can open the page before anybody has made a token."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

from modelwave_controller.errors import ModelwaveError
from modelwave_controller.home import Home
from modelwave_controller.people.local_token import NAME, local_token
from modelwave_controller.rollout.lines import SERVICE
from modelwave_controller.storage.store import Store

LOOK_SECONDS = 60.0  # `token revoke` and `recover --restored` may have ended it
FIRST_SECONDS = 2.0  # for which a start waits for the first try

logger = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def kept(home: Home, store: Store, clock: Callable[[], float]) -> AsyncIterator[None]:
    """Keeps it valid until the end of the block. `clock` returns Unix seconds."""
    tried = asyncio.Event()

    async def keep() -> None:
        while True:
            await asyncio.to_thread(_renew, home, store, clock)
            tried.set()
            await asyncio.sleep(LOOK_SECONDS)

    keeping = asyncio.create_task(keep())
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_SECONDS):
                await tried.wait()
        yield
    finally:
        keeping.cancel()


def _renew(home: Home, store: Store, clock: Callable[[], float]) -> None:
    """A service goes on without it: people may have tokens of their own."""
    try:
        local_token(home, store, clock(), SERVICE)
    except (ModelwaveError, OSError) as error:
        logger.warning("the home's own access token, %s: %s", NAME, error)
