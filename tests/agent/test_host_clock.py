"""Tests the clock of a host."""

import asyncio
import ctypes
import time

from modelwave_agent.host import clock as clocks
from modelwave_agent.host.clock import HostClock
from modelwave_shared.limits import EARLIEST_TIME

SECONDS = 120


def test_wall_is_unix_time():
    before = int(time.time())
    assert before <= HostClock().wall() <= time.time()


def test_clock_that_was_never_set_tells_no_time(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: EARLIEST_TIME - 0.5)
    assert HostClock().wall() is None
    monkeypatch.setattr(time, "time", lambda: float(EARLIEST_TIME))
    assert HostClock().wall() == EARLIEST_TIME


def kernel(monkeypatch, status, answer=0):
    """Replaces adjtimex(2)."""

    class Library:
        def adjtimex(self, timex):
            timex._obj.status = status
            return answer

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Library())


def test_clock_is_synchronised_when_the_kernel_says_so(monkeypatch):
    kernel(monkeypatch, clocks.STA_UNSYNC)
    assert not HostClock().is_synchronised()
    kernel(monkeypatch, 0x2001)  # STA_PLL, STA_NANO
    assert HostClock().is_synchronised()
    kernel(monkeypatch, 0, answer=-1)
    assert not HostClock().is_synchronised()


def test_clock_that_was_never_set_is_not_synchronised(monkeypatch):
    kernel(monkeypatch, 0)
    monkeypatch.setattr(time, "time", lambda: EARLIEST_TIME - 0.5)
    assert not HostClock().is_synchronised()


def test_clock_of_a_system_without_adjtimex_is_not_synchronised(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert not HostClock().is_synchronised()


def test_the_kernel_is_asked_and_says_what_it_says_to_others():
    """As root, `adjtimex` of util-linux would show the same; its state 5 means: not
    synchronised (adjtimex(2))."""
    timex = clocks._Timex()
    state = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    assert HostClock().is_synchronised() == (state != 5)


def test_now_never_goes_back():
    clock = HostClock()
    first = clock.now()
    assert clock.now() >= first


def test_wait_ends_with_the_event_or_with_the_time():
    async def main():
        clock, event = HostClock(), asyncio.Event()
        assert await clock.wait(event, 0) is False
        waiting = asyncio.create_task(clock.wait(event, SECONDS))
        await clock.sleep(0)
        event.set()
        assert await waiting is True
        assert await clock.wait(event, 0) is True

    asyncio.run(main())
