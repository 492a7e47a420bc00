"""Bounds how often a board may have something done: so many at once, and one more each so many
seconds. It holds over all sessions of the board."""

from modelwave_agent.ports import Clock

LEAST_SECONDS = 1e-6  # sums of floats are not exact


class Allowance:
    """Of one kind of work of one board."""

    def __init__(self, clock: Clock, burst: int, seconds: float) -> None:
        self.clock = clock
        self.seconds = seconds
        self.most = burst * seconds
        self._used = 0.0  # in seconds
        self._at = clock.now()

    def takes(self) -> bool:
        """Takes one, if there is one; returns whether there was."""
        if self._wait() > LEAST_SECONDS:
            return False
        self._used += self.seconds
        return True

    async def take(self) -> None:
        """Takes one, as soon as there is one."""
        while not self.takes():
            await self.clock.sleep(self._wait())

    def _wait(self) -> float:
        now = self.clock.now()
        self._used = max(0.0, self._used - (now - self._at))
        self._at = now
        return self._used + self.seconds - self.most
