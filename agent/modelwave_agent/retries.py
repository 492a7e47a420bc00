"""Tries work again after a fault that may pass: server down, flash full, too little RAM.

The pauses have full jitter (Marc Brooker, "Exponential Backoff And Jitter", 2015): a random share
of a limit that doubles with each try, so that the devices of a fleet do not come back together.
The work ends when it succeeds, a newer order replaces the order, or the order expires.
"""

import random

from modelwave_agent.types import Fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.model_report import ModelReport
    from modelwave_agent.ports import Clock

FIRST_PAUSE_SECONDS = 4  # the limit of the first pause
MAX_PAUSE_SECONDS = 3600


class Retries:
    """Counts the failed tries for one order, and tells the report about them."""

    def __init__(self, clock: "Clock", report: "ModelReport", expires: "int | None") -> None:
        """`expires` is the order's, in Unix seconds; None after a reset, before it came again."""
        self.clock = clock
        self.report = report
        self.expires = expires
        self.tries = 0

    async def wait(self, reason: str, retry_after: float = 0) -> bool:
        """Reports the fault and returns True when the next try is due; returns False at once if the
        order has expired. `retry_after` is the server's wish in seconds; at most half of
        MAX_PAUSE_SECONDS is granted."""
        if self._is_over():
            return False
        self.tries += 1
        pause = self._pause(min(retry_after, MAX_PAUSE_SECONDS / 2))
        self.report.suffer(Fault(reason, self.tries, self.clock.now() + pause))
        await self.clock.sleep(pause)
        return not self._is_over()

    def forget(self) -> None:
        """Removes the failed tries from count and report, because the work has advanced."""
        self.tries = 0
        self.report.fault = None

    def _pause(self, least: float) -> float:
        # 2 to the power of 10 is beyond MAX_PAUSE_SECONDS already.
        limit = FIRST_PAUSE_SECONDS << min(self.tries - 1, 10)
        span = min(max(limit, least), MAX_PAUSE_SECONDS - least)
        return least + span * random.random()

    def _is_over(self) -> bool:
        wall = self.clock.wall()
        return self.expires is not None and wall is not None and wall >= self.expires
