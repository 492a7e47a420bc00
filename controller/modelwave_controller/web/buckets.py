"""How often somebody may ask: a token bucket for each name. Pure.

A bucket holds up to `burst` requests and is filled with `rate` a second (RFC 2697 has the idea). Who
finds it empty is told in how many seconds a request is in it again.
"""

from collections import OrderedDict

MAX_NAMES = 10_000


class Buckets:
    """`now` is in seconds of a clock that nobody can set."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what, and when

    def take(self, name: str, now: float) -> float:
        """Takes a request out of the bucket of `name`; returns 0, or how many seconds to wait
        until there is one. Of more than MAX_NAMES the one that asked longest ago is forgotten,
        and so has a full bucket."""
        held, since = self._held.pop(name, (self._burst, now))
        held = min(self._burst, held + (now - since) * self._rate)
        wait = 0.0 if held >= 1 else (1 - held) / self._rate
        self._held[name] = (held - 1 if held >= 1 else held, now)
        if len(self._held) > MAX_NAMES:
            self._held.popitem(last=False)
        return wait
