"""The day's clock: one for all processes, which the day sets forward while time only passes.

A file has two numbers of milliseconds. All clocks of the day are ahead of this machine's by the
first one; the wall clock of the controller's machine is ahead of the others' by the second one,
which is 0 unless that clock is in trouble. Between two jumps time passes as it does.

`install` puts this clock in the place of Python's: `time`, and all that waits for some time. What
waits looks at the clock every SLICE_SECONDS of real time, so a jump ends it as if the time had
passed. (board.py does the same on MicroPython.)"""

import mmap
import select
import selectors
import struct
import subprocess
import threading
import time
from pathlib import Path

SLICE_SECONDS = 0.02
FORM = struct.Struct("<qq")

real_monotonic, real_time, real_sleep = time.monotonic, time.time, time.sleep
_real_gettime = time.clock_gettime


class DayClock:
    """The file, which is created if it is missing."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(FORM.size))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), FORM.size)

    @property
    def skipped(self) -> float:
        """The seconds that were jumped over."""
        return FORM.unpack_from(self._shared)[0] / 1000

    @property
    def wrong(self) -> float:
        """The seconds by which the controller's wall clock is ahead."""
        return FORM.unpack_from(self._shared)[1] / 1000

    def skip(self, seconds: float) -> None:
        struct.pack_into("<q", self._shared, 0, round(1000 * (self.skipped + seconds)))

    def set_wrong(self, seconds: float) -> None:
        struct.pack_into("<q", self._shared, 8, round(1000 * seconds))

    def install(self, is_controller: bool) -> None:
        """Puts this clock into the place of the process' own."""

        def monotonic() -> float:
            return real_monotonic() + self.skipped

        def wall() -> float:
            return real_time() + self.skipped + (self.wrong if is_controller else 0)

        def gettime(which: int) -> float:
            own = wall() - real_time() if which == time.CLOCK_REALTIME else self.skipped
            return _real_gettime(which) + own

        def sleep(seconds: float) -> None:
            end = monotonic() + seconds
            while (left := end - monotonic()) > 0:
                real_sleep(min(left, SLICE_SECONDS))

        time.monotonic, time.time, time.clock_gettime, time.sleep = monotonic, wall, gettime, sleep
        threading._time = monotonic  # type: ignore[attr-defined]
        subprocess._time = monotonic  # type: ignore[attr-defined]
        threading.Condition.wait = _sliced(monotonic)  # type: ignore[method-assign]
        select.select = _capped_select(select.select)
        for kind in (selectors.EpollSelector, selectors.PollSelector, selectors.SelectSelector):
            kind.select = _capped(kind.select)  # type: ignore[method-assign]


def _sliced(monotonic):
    whole = threading.Condition.wait

    def wait(self: threading.Condition, timeout: float | None = None) -> bool:
        """Between two slices the lock is held, so no notification is missed."""
        if timeout is None:
            return whole(self)
        end = monotonic() + timeout
        while not whole(self, max(0.0, min(end - monotonic(), SLICE_SECONDS))):
            if monotonic() >= end:
                return False
        return True

    return wait


def _capped(whole):
    def capped(self, timeout=None):
        return whole(self, timeout if timeout is None else min(timeout, SLICE_SECONDS))

    return capped


def _capped_select(whole):
    def capped(readers, writers, others, timeout=None):
        limit = timeout if timeout is None else min(timeout, SLICE_SECONDS)
        return whole(readers, writers, others, limit)

    return capped
