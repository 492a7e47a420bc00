"""What a process of the service counts about itself, for those who watch it (metrics/)."""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from modelwave_controller.service.writer import Inbox

# Upper bounds of the classes in which ticks are counted; a last class has all that took longer.
TICK_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Spread(NamedTuple):
    """How many of some durations are in each class, and their sum."""

    counts: tuple[int, ...]  # one more than TICK_SECONDS
    seconds: float


class Durations:
    """Durations by class. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = [0] * (len(TICK_SECONDS) + 1)
        self._seconds = 0.0

    def add(self, seconds: float) -> None:
        with self._lock:
            self._counts[bisect_left(TICK_SECONDS, seconds)] += 1
            self._seconds += seconds

    def spread(self) -> Spread:
        with self._lock:
            return Spread(tuple(self._counts), self._seconds)


class Alerted(Protocol):
    """What an alert's course counts: messages, tries that failed, alerts that were given up, those
    that wait, and the tries of the message under way that have failed."""

    sent: int
    failed: int
    given_up: int
    waiting: int
    tries: int


class Figures:
    """`inbox`, `writes` and `alerts`, by name, are those of the process' newest inbox, writer and
    alerts. They begin at 0 each time that it begins to lead."""

    def __init__(self) -> None:
        self.ticks = Durations()
        self.inbox = Inbox()
        self.writes: Counter[str] = Counter()  # stored, bad, lost
        self.alerts: Mapping[str, Alerted] = {}
