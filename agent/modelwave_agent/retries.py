"""Tries work again after a fault that may pass: server down, flash full, too little RAM.

The pauses have full jitter (Marc Brooker, "Exponential Backoff And Jitter", 2015): each is a random
share of a limit, so that the devices of a fleet do not come back together. The limit doubles with
each try, from 4 seconds to 5 minutes, and stays there for an hour of failed tries; then it is a
twelfth of the time that they have lasted, at most an hour. So when a server is back, all devices
have tried again within 5 minutes, or within a twelfth of the time for which it was down; and what
never passes costs a try in half an hour. docs/files.md has a measure.

The work ends when it succeeds, a newer order replaces the order, or the order expires.

A program that defers the update is asked again after such pauses too, which are shorter.
"""

import random

from modelwave_agent.record import clean
from modelwave_agent.types import Fault
from modelwave_shared.words import DEFERRED, FAILED

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio

    from modelwave_agent.model_report import ModelReport
    from modelwave_agent.ports import Clock

# Limits of a pause.
FIRST_PAUSE_SECONDS = 4
SHORT_PAUSE_SECONDS = 300  # after the doubling
SHARE_OF_OUTAGE = 12  # the divisor of the time that the tries have failed
MAX_PAUSE_SECONDS = 3600
LEAST_DEFERRAL_SECONDS = 1
MAX_DEFERRAL_SECONDS = 900
# From this failed try on the outcome is FAILED. The ones before it last half a minute, and are
# only told as the reason.
FAILED_TRIES = 5


class Retries:
    """Counts the failed tries for one order, and tells the report about them."""

    def __init__(self, clock: "Clock", report: "ModelReport", expires: "int | None") -> None:
        """`expires` is the order's, in Unix seconds; None after a reset, before it came again."""
        self.clock = clock
        self.report = report
        self.expires = expires
        self.tries = 0
        self.restarts = 0  # of the download, from its first byte
        self.began = 0.0  # when the first of them failed, by Clock.now
        self.deferrals = 0
        self.undecided = 0  # trials that told nothing of the model

    async def wait(self, reason: str, retry_after: float = 0) -> bool:
        """Reports the fault and returns True when the next try is due; returns False at once if the
        order has expired. `retry_after` is the server's wish in seconds; at most half of
        MAX_PAUSE_SECONDS is granted."""
        if self.is_over():
            return False
        if not self.tries:
            self.began = self.clock.now()
        self.tries += 1
        pause = self._pause(min(retry_after, MAX_PAUSE_SECONDS / 2))
        outcome = FAILED if self.tries >= FAILED_TRIES else ""
        self.report.suffer(Fault(reason, self.tries, self.clock.now() + pause, outcome))
        await self.clock.sleep(pause)
        return not self.is_over()

    async def defer(self, reason: str, now: "asyncio.Event") -> bool:
        """Reports that the program defers the update, and returns True when it is to be asked
        again: after a pause, or soon if it sets `now`. Returns False if the order has
        expired. It may last for days, so the same reason triggers no report again."""
        if self.is_over():
            return False
        self.deferrals += 1
        limit = min(_doubled(FIRST_PAUSE_SECONDS, self.deferrals), MAX_DEFERRAL_SECONDS)
        pause = limit * random.random()
        fault = Fault(clean(reason), self.deferrals, self.clock.now() + pause, DEFERRED)
        last = self.report.fault
        if last and (last.outcome, last.reason) == (DEFERRED, fault.reason):
            self.report.fault = fault
        else:
            self.report.suffer(fault)
        # Not sooner, even for a program that says "now" in each of its turns.
        soon = min(pause, LEAST_DEFERRAL_SECONDS)
        await self.clock.sleep(soon)
        await self.clock.wait(now, pause - soon)
        return not self.is_over()

    def go_on(self) -> None:
        """Reports that the program defers the update no more, if it did."""
        fault = self.report.fault
        if fault and fault.outcome == DEFERRED:
            self.report.fault = None
            self.report.changed()

    def forget(self) -> None:
        """Removes the failed tries from count and report, because the work has advanced. Those that
        made the download start over stay, and trials in vain: they wear out flash, however far each
        one came."""
        self.tries = self.restarts + self.undecided
        self.report.fault = None

    def _pause(self, least: float) -> float:
        limit = min(_doubled(max(FIRST_PAUSE_SECONDS, least), self.tries), SHORT_PAUSE_SECONDS)
        limit = max(limit, (self.clock.now() - self.began) / SHARE_OF_OUTAGE)
        span = min(max(limit, least), MAX_PAUSE_SECONDS - least)
        return least + span * random.random()

    def is_over(self) -> bool:
        """Whether the order has expired."""
        wall = self.clock.wall()
        return self.expires is not None and wall is not None and wall >= self.expires


def _doubled(first: float, tries: int) -> float:
    """Returns the limit of the pause after so many tries, from `first` on."""
    return first * (1 << min(tries - 1, 10))  # at 2 to the power of 10 all limits are reached
