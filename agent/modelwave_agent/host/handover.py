"""Brings the counts of the program's threads into the agent's event loop.

To wake that loop for each inference costs the program more than a small model does. So the first
count wakes it, and for PAUSE_SECONDS the next ones only wait: then all of them are counted, in the
order in which they came. They are also counted before a window is closed, and before the agent's
block ends.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any

PAUSE_SECONDS = 0.05


class Handover:
    """`count` is called in the event loop with the arguments of each `give`."""

    def __init__(self, count: Callable[..., object]) -> None:
        self.count = count
        self.loop: asyncio.AbstractEventLoop | None = None  # None: nothing is counted
        self._waiting: deque[tuple[Any, ...]] = deque()
        self._is_awake = False  # the loop will look
        self._timer: asyncio.TimerHandle | None = None

    def give(self, *arguments: Any) -> None:
        """Called in any thread, also in a signal handler."""
        loop = self.loop
        if loop is None:
            return
        self._waiting.append(arguments)
        if not self._is_awake:
            self._is_awake = True
            with contextlib.suppress(RuntimeError):  # the loop has just ended
                loop.call_soon_threadsafe(self._wake)

    def take(self) -> None:
        """Counts all that waits; called in the event loop."""
        for _ in range(len(self._waiting)):
            try:
                self.count(*self._waiting.popleft())
            except Exception as error:  # one wrong count is no reason to lose the others
                told = {"message": "a count was not taken", "exception": error}
                asyncio.get_running_loop().call_exception_handler(told)

    def _wake(self) -> None:
        if self._timer is None:
            self._look()

    def _look(self) -> None:
        self._timer = None
        # Before the queue is read: what comes after that wakes the loop again.
        self._is_awake = False
        if self._waiting:
            self._is_awake = True
            self._timer = asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._look)
            self.take()
