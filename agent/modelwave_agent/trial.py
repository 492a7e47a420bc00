"""Watches a new model on trial: it serves already, but is not confirmed yet."""

import asyncio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from modelwave_agent.ports import Clock
    from modelwave_agent.types import Document

POLL_SECONDS = 5  # the longest wait for new observations


class TrialWatch:
    """Counts the inferences on trial, from its creation on."""

    def __init__(self, wanted: "Document") -> None:
        """`wanted`: the order's field `trial`, {seconds, inferences}."""
        self.wanted = wanted
        self.inferences = self.failures = 0
        self.reason = ""  # of the last failure
        self.observed = asyncio.Event()

    def observe(self, inferences: int, failures: int, reason: str = "") -> None:
        """Counts `inferences` of the new model, of which `failures` failed, the last for
        `reason`."""
        self.inferences += inferences
        self.failures += failures
        self.reason = reason or self.reason
        self.observed.set()

    async def verdict(self, clock: "Clock", healthy: "Callable[[], Awaitable[str]]") -> str:
        """Waits until the trial's time is over and its inferences have run, then asks `healthy`.
        Returns "" if all is well, or what is wrong; the first failure ends the trial."""
        end = clock.now() + self.wanted["seconds"]
        while not self.failures:
            left = end - clock.now()
            if left <= 0 and self.inferences >= self.wanted["inferences"]:
                problem = await healthy()
                if not self.failures:
                    return problem
                break
            self.observed.clear()
            await clock.wait(self.observed, min(left, POLL_SECONDS) if left > 0 else POLL_SECONDS)
        told = "%d of %d inferences on trial failed" % (self.failures, self.inferences)
        return told + (": " + self.reason if self.reason else "")
