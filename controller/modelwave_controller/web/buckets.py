"""How often somebody may ask: a token bucket for each name. Pure.

A bucket holds up to `burst` requests and is filled with `rate` a second. Who finds it empty is told
in how many seconds a request is in it again.
"""

from collections import OrderedDict

MAX_NAMES = 10_000


class Buckets:
    """`now` is in seconds of a clock that nobody can set."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what, and when

    def look(self, name: str, now: float) -> float:
        """Returns in how many seconds a request is in the bucket of `name`; 0: one is in it."""
        return max(0.0, (1 - self._filled(name, now)) / self._rate)

    def take(self, name: str, now: float) -> float:
        """Takes a request out, if there is one; returns as `look` before it. Of more than MAX_NAMES
        the one that asked longest ago is forgotten, and so has a full bucket."""
        held, wait = self._filled(name, now), self.look(name, now)
        self._held[name] = (held if wait else held - 1, now)
        self._held.move_to_end(name)
        if len(self._held) > MAX_NAMES:
            self._held.popitem(last=False)
        return wait

    def _filled(self, name: str, now: float) -> float:
        held, since = self._held.get(name, (self._burst, now))
        return min(self._burst, held + (now - since) * self._rate)
