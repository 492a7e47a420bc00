"""Two ends of a wire in simulated time, on both Pythons; the wire does what a plan says.

    time = Time()
    board, gateway = wire(time, baud=115200)         # two streams for Line
    board.plan = lambda number, data: data[1:]       # what is left of each write
    time.run(main())

Time passes only when no task has anything to do.
"""

import asyncio

from modelwave_agent import ports

IDLE_TURNS = 12  # of the event loop without a sign of work: all tasks wait
BITS = 10
KERNEL_SECONDS = 4  # what is written and not on the wire yet, before a writer waits


class Time(ports.Clock):
    def __init__(self):
        self.seconds = 0.0
        self.timers = []  # [when, function]
        self.signs = 0  # of work

    def now(self):
        return self.seconds

    def wall(self):
        return None

    def at(self, when, function):
        timer = [when, function]
        self.timers.append(timer)
        return timer

    async def sleep(self, seconds):
        self.signs += 1
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        await self.wait(asyncio.Event(), seconds)

    async def wait(self, event, seconds):
        self.signs += 1
        late = []

        def wake():
            late.append(True)
            event.set()
            event.clear()

        if event.is_set():
            return True
        timer = self.at(self.seconds + max(0, seconds), wake)
        try:
            await event.wait()
        finally:
            if timer in self.timers:
                self.timers.remove(timer)
        return not late

    def run(self, work, most=10**6):
        """What `work` returns; it may last `most` seconds."""

        async def main():
            task = asyncio.create_task(work)
            while not task.done():
                self.signs = 0
                for _ in range(IDLE_TURNS):
                    await asyncio.sleep(0)
                    if self.signs:
                        break
                if self.signs or task.done():
                    continue
                self._pass()
                assert self.seconds < most, "it is still at work after %d s" % most
            return await task

        return asyncio.run(main())

    def _pass(self):
        assert self.timers, "all tasks wait for what never comes"
        self.seconds = max(self.seconds, min(when for when, _ in self.timers))
        due = [timer for timer in self.timers if timer[0] <= self.seconds]
        for timer in due:
            if timer in self.timers:
                self.timers.remove(timer)
                timer[1]()


class End:
    """The stream of one end."""

    def __init__(self, time, baud):
        self.time = time
        self.seconds = BITS / baud  # for a byte
        self.plan = None  # (number of the write, data) -> what the other end gets of it
        self.other = None
        self.came = b""
        self.news = asyncio.Event()
        self.number = 0
        self.bytes = 0  # that were written
        self.free = 0.0  # when the wire is free again
        self.closed = False
        self.echoes = False
        self.deaf = False  # it has no power

    async def read(self, n):
        while not self.came:
            if self.closed:
                return b""
            self.time.signs += 1
            await self.news.wait()
        self.time.signs += 1
        data, self.came = self.came[:n], self.came[n:]
        return data

    async def write(self, data):
        self.time.signs += 1
        while self.free - self.time.seconds > KERNEL_SECONDS:
            await self.time.sleep(self.free - self.time.seconds - KERNEL_SECONDS)
        self.number += 1
        self.bytes += len(data)
        self.free = max(self.free, self.time.seconds) + len(data) * self.seconds
        ends = [self.other] + ([self] if self.echoes else [])
        arrives = self.plan(self.number, data) if self.plan else data
        for end in ends:
            self.time.at(self.free, lambda end=end: end.get(arrives))

    def get(self, data):
        if not self.closed and not self.deaf:
            self.came += data
            self.wake()

    def wake(self):
        self.time.signs += 1
        self.news.set()
        self.news.clear()

    def unplug(self):
        """The end of the stream, at this end."""
        self.closed = True
        self.wake()


def wire(time, baud=115200):
    one, other = End(time, baud), End(time, baud)
    one.other, other.other = other, one
    return one, other
