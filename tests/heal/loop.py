"""An event loop with simulated time: when nothing is ready, it jumps to the next timer."""

import asyncio
import selectors


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Weeks pass as fast as the code in them runs. Its time starts at 0."""

    def __init__(self):
        self.now = 0.0
        super().__init__(_Jump(self))

    def time(self):
        return self.now


class _Jump(selectors.DefaultSelector):
    """There is no input and output, so the loop never waits."""

    def __init__(self, loop):
        super().__init__()
        self.loop = loop

    def select(self, timeout=None):
        if timeout is None:
            raise RuntimeError("all tasks wait for each other")
        self.loop.now += timeout
        return []


def run(main, usual):
    """Runs the coroutine `main` in simulated time, and cancels what it left. Nobody has to ask for
    an exception of the class `usual` that has ended a task."""
    loop = SimulatedLoop()
    loop.set_exception_handler(lambda loop, context: _tell(loop, context, usual))
    try:
        return loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()


def _tell(loop, context, usual):
    if not isinstance(context.get("exception"), usual):
        loop.default_exception_handler(context)
