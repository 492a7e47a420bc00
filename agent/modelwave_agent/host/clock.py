"""The clock of a host."""

import asyncio
import contextlib
import time

from modelwave_agent import ports

# 2026-01-01 in Unix seconds. A clock before this was never set: a Pi without a battery starts in
# 1970.
EARLIEST = 1_767_225_600


class HostClock(ports.Clock):
    """The host's clock, which decides about expiry. `wall` returns None until the clock is set."""

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> int | None:
        now = int(time.time())
        return now if now >= EARLIEST else None

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), seconds)
        return event.is_set()
