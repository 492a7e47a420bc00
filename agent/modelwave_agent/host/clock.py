"""Time on a host."""

import asyncio
import contextlib
import time

from modelwave_agent import ports


class HostClock(ports.Clock):
    """A host keeps the time over a reset, so what it says of expiry counts."""

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> int:
        return int(time.time())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), seconds)
        return event.is_set()
