"""Folds older windows of devices, a bounded step at a time (storage/window_folding.py)."""

import math

from modelwave_controller.errors import StorageError
from modelwave_controller.storage import clock, window_folding
from modelwave_controller.storage.lease import LeaseLost
from modelwave_controller.storage.store import Transactions

# 10,000 devices with windows of 15 minutes make 333 rows in this time; a step does 1,000.
PAUSE_SECONDS = 30
DAY_SECONDS = 86400


class Folding:
    """Goes through the devices again and again."""

    def __init__(self, store: Transactions, keep_days: int = 0) -> None:
        """Older windows than of `keep_days` days are deleted; 0: none are."""
        self.store = store
        self.keep_seconds = keep_days * DAY_SECONDS or math.inf
        self._after = ""  # the device that was done last
        self._due: float | None = None

    def step(self, now: float) -> None:
        """Does a step if one is due; `now` is in seconds of a steady clock. What cannot be done now
        is done later."""
        if self._due is None:
            self._due = now + PAUSE_SECONDS
        if now < self._due:
            return
        self._due = now + PAUSE_SECONDS
        try:
            with self.store.write() as connection:
                seconds = clock.stored(connection).seconds
                oldest = seconds - self.keep_seconds
                self._after = window_folding.fold(connection, seconds, self._after, oldest)
        except (LeaseLost, StorageError):
            return
