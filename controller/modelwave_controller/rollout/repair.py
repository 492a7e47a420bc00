"""Decides when a device that reports an older order than its own is sent the order again. Pure.

    1. The broker has acknowledged the order, and MARGIN_SECONDS after the device was first seen
       with an older one it reports an older one still.
    2. Then not again for FIRST_PAUSE_SECONDS, and each time for twice as long, as some devices
       refuse their order; MAX_PAUSE_SECONDS at most.

All times are in seconds of the rollout clock.
"""

from typing import NamedTuple

MARGIN_SECONDS = 60  # in which a device takes its order and says so
FIRST_PAUSE_SECONDS = 600
MAX_PAUSE_SECONDS = 86400


class Repair(NamedTuple):
    """A device's order `seq` is sent again: seen to be needed at `since`, done `times` times, not
    again before `due`."""

    seq: int
    since: float
    times: int
    due: float


def look(held: Repair | None, seq: int, at: float) -> Repair:
    """Returns the repair of a device that reported at `at` an older order than its own, `seq`;
    with one time more than `held` has if the order is to be sent again."""
    if held is None or held.seq != seq:
        return Repair(seq, at, 0, at + MARGIN_SECONDS)
    if at < held.due:
        return held
    pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(held.times, 30), MAX_PAUSE_SECONDS)
    return Repair(seq, held.since, held.times + 1, at + pause)
