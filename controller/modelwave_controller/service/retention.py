"""Deletes what is older than the fleet keeps (storage/pruning.py), little by little.

It goes through what is old once in ROUND_SECONDS, a transaction each STEP_SECONDS at the most. So
no tick waits for more than one of them, and others write in between.
"""

import logging
from collections import Counter
from collections.abc import Iterator

from modelwave_controller.phrases import plural
from modelwave_controller.rollout.state import State
from modelwave_controller.storage import pruning
from modelwave_controller.storage.pruning import Deleted, ReleaseNumber
from modelwave_controller.storage.store import Transactions

FIRST_SECONDS = 60  # from the start of the service to the first round
ROUND_SECONDS = 3600
STEP_SECONDS = 0.4  # a million answers take seven minutes
DAY_SECONDS = 86400

logger = logging.getLogger(__name__)


class Retention:
    """One thread uses it."""

    def __init__(self, store: Transactions, keep_days: int) -> None:
        """`keep_days`: what is older is deleted; 0: nothing is."""
        self.store = store
        self.keep_days = keep_days
        self._due: float | None = None  # by the steady clock
        self._steps: Iterator[Deleted] | None = None  # of the round that has begun
        self._answers: Counter[int] = Counter()  # that it has deleted, by rollout
        self._without_sums: set[ReleaseNumber] = set()

    def step(self, state: State, now: float, steady: float) -> None:
        """Does a step if one is due. `state` is that of the rollouts, and may be brought up to
        date; `now` is in Unix seconds, `steady` in seconds of a clock that cannot be set. Raises
        StorageError; the next round does the rest then."""
        if self._due is None:
            self._due = steady + FIRST_SECONDS
        if not self.keep_days or steady < self._due:
            return
        self._due = steady + ROUND_SECONDS
        steps, self._steps = self._steps or self._round(state, now), None
        deleted = next(steps, None)
        if deleted is None:
            self._tell()
            return
        self._answers[deleted.rollout] += deleted.answers
        self._steps, self._due = steps, steady + STEP_SECONDS

    def _round(self, state: State, now: float) -> Iterator[Deleted]:
        before = now - self.keep_days * DAY_SECONDS
        actor = f"keep_days = {self.keep_days}"
        return pruning.steps(self.store, state, before, now, actor, self._without_sums)

    def _tell(self) -> None:
        for rollout, number in self._answers.items():
            if number:
                logger.info(
                    "rollout %d: %s of devices deleted after %d days, their counts kept",
                    rollout,
                    plural(number, "answer"),
                    self.keep_days,
                )
        self._answers.clear()
