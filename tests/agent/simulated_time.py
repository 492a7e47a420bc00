"""An event loop whose time passes at once: when nothing is ready, it is the moment of the next
timer. Whatever happens in it must wait for timers only, not for threads or sockets."""

import asyncio
import selectors

from modelwave_agent import ports


class SimulatedLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        self.seconds = 0.0
        super().__init__(_Jumping(self))

    def time(self):
        return self.seconds


def run(main):
    """As asyncio.run, with simulated time, which begins at 0."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(main)


class _Jumping(selectors.SelectSelector):
    def __init__(self, loop):
        super().__init__()
        self.loop = loop

    def select(self, timeout=None):
        if timeout is None:
            raise RuntimeError("everything waits for what never comes")
        self.loop.seconds += timeout
        return []


class SimulatedClock(ports.Clock):
    """The loop's time as the time of a device. `started`: Unix seconds at 0."""

    def __init__(self, started):
        self.started = started

    def now(self):
        return asyncio.get_running_loop().time()

    def wall(self):
        return int(self.started + self.now())

    async def sleep(self, seconds):
        await asyncio.sleep(seconds)

    async def wait(self, event, seconds):
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            return False
        return True
