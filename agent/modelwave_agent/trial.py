"""The trial of a new model: it serves, and is watched, before it is confirmed."""

import asyncio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from modelwave_agent.ports import Clock
    from modelwave_agent.types import Document

POLL_SECONDS = 5  # the longest wait for news


class TrialWatch:
    """Counts what is observed, from the moment that it is made."""

    def __init__(self, wanted: "Document") -> None:
        """`wanted`: the order's trial, {seconds, inferences}."""
        self.wanted = wanted
        self.inferences = self.failures = 0
        self.observed = asyncio.Event()

    def observe(self, inferences: int, failures: int) -> None:
        """`failures` of so many inferences of the new model failed."""
        self.inferences += inferences
        self.failures += failures
        self.observed.set()

    async def verdict(self, clock: "Clock", healthy: "Callable[[], Awaitable[str]]") -> str:
        """ "" once the time is over, the inferences have run without a failure and `healthy`
        has nothing to say against the model; or what is wrong."""
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
        return "%d of %d inferences on trial failed" % (self.failures, self.inferences)
