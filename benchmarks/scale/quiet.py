"""Waits until processes have nothing left to do. A process that waits for a processor is not at
rest: on a busy machine it uses little time, and still has much to do."""

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

LOOK_SECONDS = 0.5
BUSY = 0.1  # of one processor, for all together
LIMIT_SECONDS = 120


def wait_quiet(pids: Sequence[int]) -> None:
    """Returns when these processes have rested for LOOK_SECONDS. Linux alone tells."""
    end = time.monotonic() + LIMIT_SECONDS
    begun, before = time.monotonic(), _seconds(pids)
    while True:
        time.sleep(LOOK_SECONDS)
        now, after = time.monotonic(), _seconds(pids)
        spent = sum(seconds - before.get(thread, 0) for thread, seconds in after.items())
        if spent < BUSY * (now - begun):
            return
        if now > end:
            raise TimeoutError(f"processes {pids} were not at rest for {LIMIT_SECONDS} s")
        begun, before = now, after


def _seconds(pids: Sequence[int]) -> dict[str, float]:
    """Returns the seconds that each of their threads ran, or waited to run."""
    found = {}
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):  # it has ended
                ran, waited, _ = (thread / "schedstat").read_text().split()
                found[thread.name] = (int(ran) + int(waited)) / 1e9
    return found
