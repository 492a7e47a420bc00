"""Tells systemd that the service is ready, how it is, and that it does not hang."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from modelwave_controller.service.vitals import Vitals
from modelwave_shared import supervisor

LOOK_SECONDS = 5


@contextlib.asynccontextmanager
async def supervised(vitals: Vitals) -> AsyncIterator[None]:
    """Says that the service is ready now, and until the end of the block how it is. A service that
    hangs is no longer called alive, so systemd ends it when the unit's WatchdogSec is over."""
    supervisor.tell(supervisor.READY)
    watching = asyncio.create_task(_watch(vitals))
    try:
        yield
    finally:
        watching.cancel()


async def _watch(vitals: Vitals) -> None:
    allowed = supervisor.watchdog_seconds()
    pause = min(LOOK_SECONDS, allowed / 3) if allowed else LOOK_SECONDS
    while True:
        alive = [supervisor.ALIVE] if vitals.alive else []
        supervisor.tell(supervisor.status(vitals.words()), *alive)
        await asyncio.sleep(pause)
