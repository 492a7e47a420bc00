"""Tests the clock of a host."""

import asyncio
import time

from modelwave_agent.host.clock import EARLIEST, HostClock

SECONDS = 120


def test_wall_is_unix_time():
    before = int(time.time())
    assert before <= HostClock().wall() <= time.time()


def test_clock_that_was_never_set_tells_no_time(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: EARLIEST - 0.5)
    assert HostClock().wall() is None
    monkeypatch.setattr(time, "time", lambda: float(EARLIEST))
    assert HostClock().wall() == EARLIEST


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
