"""The clock of a host."""

import asyncio
import contextlib
import ctypes
import time

from modelwave_agent import ports
from modelwave_shared.limits import EARLIEST_TIME

STA_UNSYNC = 0x40  # of `status` in struct timex (adjtimex(2)): no program keeps the clock right
SPARE_BYTES = 512  # the struct's later fields


class _Timex(ctypes.Structure):
    """The begin of struct timex. C's long and its padding are right on each platform."""

    _fields_ = (
        ("modes", ctypes.c_uint),  # 0: only ask
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("spare", ctypes.c_char * SPARE_BYTES),
    )


class HostClock(ports.Clock):
    """The host's clock, which decides about expiry. `wall` returns None until the clock is set."""

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> int | None:
        now = int(time.time())
        return now if now >= EARLIEST_TIME else None

    def is_synchronised(self) -> bool:
        """As the kernel says: chrony, ntpd and systemd-timesyncd tell it."""
        return self.wall() is not None and _is_kept_right()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
        return event.is_set()


def _is_kept_right() -> bool:
    timex = _Timex()
    try:
        failed = ctypes.CDLL(None).adjtimex(ctypes.byref(timex)) < 0
    except (OSError, AttributeError):  # another system than Linux
        return False
    return not failed and not timex.status & STA_UNSYNC
