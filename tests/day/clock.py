"""The day's clock: one for all processes, and only the day sets it forward (pace.py).

A file has the milliseconds that have passed, and those by which the wall clock of the controller's
machine is ahead, which is 0 unless that clock is in trouble. `install` puts this clock in the place
of Python's: `time`, and all that waits for some time. What waits looks at the clock every
SLICE_SECONDS of real time. (board.py does the same on MicroPython.)

Behind that the file has a place for each agent that is a process: there its event loop notes the
time that it has seen."""

import mmap
import select
import selectors
import struct
import subprocess
import threading
import time
from pathlib import Path

SLICE_SECONDS = 0.02
STARTED = 1_800_000_000  # Unix seconds at which the day's clock begins
PASSED, WRONG, SEEN = 0, 8, 16  # where the numbers are
PLACES = 64

real_monotonic, real_sleep = time.monotonic, time.sleep


class DayClock:
    """The file, which is created if it is missing. `place`: of this agent."""

    def __init__(self, path: Path, place: int | None = None) -> None:
        if not path.exists():
            path.write_bytes(bytes(SEEN + 8 * PLACES))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), 0)
        self._place = place

    @property
    def passed(self) -> float:
        """Seconds."""
        return self._read(PASSED) / 1000

    @property
    def wrong(self) -> float:
        """The seconds by which the controller's wall clock is ahead."""
        return self._read(WRONG) / 1000

    def skip(self, seconds: float) -> None:
        self._write(PASSED, self._read(PASSED) + round(1000 * seconds))

    def set_wrong(self, seconds: float) -> None:
        self._write(WRONG, round(1000 * seconds))

    def has_seen(self, place: int) -> bool:
        """Returns whether the agent at this place has seen what the clock shows."""
        return self._read(SEEN + 8 * place) >= self._read(PASSED)

    def note_seen(self) -> None:
        if self._place is not None:
            self._write(SEEN + 8 * self._place, self._read(PASSED))

    def _read(self, at: int) -> int:
        return int(struct.unpack_from("<q", self._shared, at)[0])

    def _write(self, at: int, number: int) -> None:
        struct.pack_into("<q", self._shared, at, number)

    def install(self, is_controller: bool) -> None:
        """Puts this clock into the place of the process' own."""

        def monotonic() -> float:
            return self.passed

        def wall() -> float:
            return STARTED + self.passed + (self.wrong if is_controller else 0)

        def gettime(which: int) -> float:
            return wall() if which == time.CLOCK_REALTIME else self.passed

        def sleep(seconds: float) -> None:
            end = self.passed + seconds
            while self.passed < end:
                real_sleep(min(seconds, SLICE_SECONDS))

        time.monotonic, time.time, time.clock_gettime, time.sleep = monotonic, wall, gettime, sleep
        threading._time = monotonic  # type: ignore[attr-defined]
        subprocess._time = monotonic  # type: ignore[attr-defined]
        threading.Condition.wait = self._sliced()  # type: ignore[method-assign]
        select.select = _capped_select(select.select)
        for kind in (selectors.EpollSelector, selectors.PollSelector, selectors.SelectSelector):
            kind.select = self._capped(kind.select)  # type: ignore[method-assign]

    def _sliced(self):
        whole = threading.Condition.wait

        def wait(condition: threading.Condition, timeout: float | None = None) -> bool:
            """Between two slices the lock is held, so no notification is missed."""
            if timeout is None:
                return whole(condition)
            end = self.passed + timeout
            while not whole(condition, max(0.0, min(end - self.passed, SLICE_SECONDS))):
                if self.passed >= end:
                    return False
            return True

        return wait

    def _capped(self, whole):
        def capped(selector, timeout=None):
            self.note_seen()
            limit = SLICE_SECONDS if timeout is None else min(timeout, SLICE_SECONDS)
            return whole(selector, limit)

        return capped


def _capped_select(whole):
    def capped(readers, writers, others, timeout=None):
        limit = timeout if timeout is None else min(timeout, SLICE_SECONDS)
        return whole(readers, writers, others, limit)

    return capped
