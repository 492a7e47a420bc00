"""Simulated time: it passes only while the service waits."""

import heapq
import itertools
from collections.abc import Callable


class Clock:
    """`now` is in seconds since the start of the history."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()  # what is due at the same time happens in this order

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now + seconds, next(self._numbers), do))

    def pass_until(self, end: float, is_woken: Callable[[], bool]) -> None:
        """Lets happen what is due until `end`, or until somebody is woken by it."""
        while self._due and self._due[0][0] <= end:
            if is_woken():
                return
            self.now, _, do = heapq.heappop(self._due)
            do()
        if not is_woken():
            self.now = max(self.now, end)

    # In the place of the module `time`, for the service.

    def monotonic(self) -> float:
        return self.now

    perf_counter = monotonic


class Wake:
    """In the place of the event that wakes the service: time passes while it waits."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._is_set = False

    def set(self) -> None:
        self._is_set = True

    def clear(self) -> None:
        self._is_set = False

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, seconds: float) -> None:
        self._clock.pass_until(self._clock.now + seconds, self.is_set)
