"""The clock of a board."""

import asyncio
import time

from modelwave_agent.ports import Clock
from modelwave_shared.limits import EARLIEST_TIME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# 2000-01-01, where time.time() starts on some of MicroPython's ports.
LATE_EPOCH = 946684800


class BoardClock(Clock):
    """Adds up the steps of `ticks_ms`, which wraps around every 12 days. The agent uses the clock
    every few minutes (it repeats its report), so it misses no wrap-around."""

    def __init__(
        self,
        wall: "Callable[[], float] | None" = None,
        feed: "Callable[[], object] | None" = None,
    ) -> None:
        """`wall`: a function such as time.time, if something keeps the board's clock right (NTP,
        GPS, a battery): it is believed whatever was signed. None if nothing does. `feed`: feeds
        the program's watchdog. It is called between the pieces of long work, and never by a timer,
        as a watchdog must notice a program that hangs."""
        self.told = wall
        self.feed = feed
        self.ticks = time.ticks_ms()
        self.passed = 0  # milliseconds

    def now(self) -> float:
        ticks = time.ticks_ms()
        self.passed += time.ticks_diff(ticks, self.ticks)
        self.ticks = ticks
        return self.passed / 1000

    def wall(self) -> "int | None":
        if not self.told:
            return None
        try:
            now = int(self.told())
        except Exception:  # of the program's function: None, NaN, no battery
            return None
        if time.gmtime(0)[0] == 2000:
            now += LATE_EPOCH
        return now if now >= EARLIEST_TIME else None

    def is_synchronised(self) -> bool:
        """A program that passes `wall` keeps its clock right."""
        return self.wall() is not None

    async def sleep(self, seconds: float) -> None:
        self.now()
        if self.feed and not seconds:
            self.feed()
        await asyncio.sleep_ms(int(seconds * 1000))

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        self.now()
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except asyncio.TimeoutError:
            pass
        return event.is_set()
