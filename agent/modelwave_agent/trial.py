"""Watches a new model on trial: it serves already, but is not confirmed yet.

The order may allow a share of the inferences on trial to fail; without one, the first failure ends
the trial. With one,

    during the trial   it ends as soon as the failures are more than this share of the inferences
                       that the order wants, or of those that have run if these are more. One
                       failure alone never ends it: 1 of 1 says nothing about a share.
    at its end         the share of all inferences that have run decides, however few they are.
"""

import asyncio

from modelwave_shared.limits import MILLION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from modelwave_agent.ports import Clock, Undecided
    from modelwave_agent.types import Document

POLL_SECONDS = 5  # the longest wait for new observations


class TrialWatch:
    """Counts the inferences on trial, from its creation on."""

    def __init__(self, wanted: "Document", max_failed_ppm: int = 0) -> None:
        """`wanted`: the order's field `trial`, {seconds, inferences}. `max_failed_ppm`: the share
        of the inferences that may fail, in parts per million."""
        self.wanted = wanted
        self.max_failed_ppm = max_failed_ppm
        self.inferences = self.failures = 0
        self.reason = ""  # of the last failure
        self.observed = asyncio.Event()
        self.lost: "Undecided | None" = None

    def lose(self, why: "Undecided") -> None:
        """Ends the trial without a verdict: the model does not run any more."""
        self.lost = why
        self.observed.set()

    def observe(self, inferences: int, failures: int, reason: str = "") -> None:
        """Counts `inferences` of the new model, of which `failures` failed, the last for
        `reason`."""
        self.inferences += inferences
        self.failures += failures
        self.reason = reason or self.reason
        self.observed.set()

    async def verdict(self, clock: "Clock", healthy: "Callable[[], Awaitable[str]]") -> str:
        """Waits until the trial's time is over and its inferences have run, then asks `healthy`.
        Returns "" if all is well, or what is wrong; too many failures end the trial at once. Raises
        what `lose` was told."""
        end = clock.now() + self.wanted["seconds"]
        while not self._has_failed():
            if self.lost:
                raise self.lost
            left = end - clock.now()
            if left <= 0 and self.inferences >= self.wanted["inferences"]:
                problem = await healthy()
                if not self._is_beyond(self.inferences):
                    return problem
                break
            self.observed.clear()
            await clock.wait(self.observed, min(left, POLL_SECONDS) if left > 0 else POLL_SECONDS)
        return self._told()

    def _has_failed(self) -> bool:
        """Whether the failures end the trial before its end."""
        if self.max_failed_ppm and self.failures == 1:
            return False
        return self._is_beyond(max(self.inferences, self.wanted["inferences"]))

    def _is_beyond(self, inferences: int) -> bool:
        """Whether the failures are more than the share of so many inferences."""
        return self.failures * MILLION > self.max_failed_ppm * inferences

    def _told(self) -> str:
        told = "%d of %d inferences on trial failed" % (self.failures, self.inferences)
        if self.max_failed_ppm:
            told += ", allowed are %g %%" % (self.max_failed_ppm / (MILLION // 100))
        return told + (": " + self.reason if self.reason else "")
