"""Counts the fleet, a part at each scrape: for what the database keeps no counters of.

A fleet of up to PART_DEVICES is counted at each scrape. A larger one takes several: until the first
count is complete there is none, and then the last complete one is told, with its time.
"""

from collections import Counter
from typing import NamedTuple

from sqlalchemy import Connection

from modelwave_controller.storage import census

PART_DEVICES = 5000
MAX_KEYS = 5000  # of the counts by release; the rest is counted together

Release = tuple[str, str, str]  # target, model, release
OTHERS: Release = ("_others", "_others", "_others")


class Counts(NamedTuple):
    """`at`: Unix seconds."""

    at: float
    devices: Counter[str]  # by target
    online: Counter[str]
    silent: Counter[str]
    releases: Counter[Release]


class Census:
    """The count that is under way, and the newest complete one. One thread uses it at a time."""

    def __init__(self) -> None:
        self.newest: Counts | None = None
        self._after = ""  # the last device that was counted
        self._begin()

    def step(self, connection: Connection, silent_before: float, now: float) -> None:
        """Counts a further part. `silent_before` as in storage/census.py; `now` in Unix seconds."""
        found = census.part(connection, self._after, PART_DEVICES, silent_before)
        for one in found.targets:
            self._devices[one.target] += one.devices
            self._online[one.target] += one.online
            self._silent[one.target] += one.silent
        for its in found.releases:
            key = (its.target, its.model, str(its.release))
            is_new = key not in self._releases and len(self._releases) >= MAX_KEYS
            self._releases[OTHERS if is_new else key] += its.devices
        self._after = found.last
        if not found.last:
            self.newest = Counts(now, self._devices, self._online, self._silent, self._releases)
            self._begin()

    def _begin(self) -> None:
        self._after = ""
        self._devices: Counter[str] = Counter()
        self._online: Counter[str] = Counter()
        self._silent: Counter[str] = Counter()
        self._releases: Counter[Release] = Counter()
