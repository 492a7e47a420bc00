"""Tells those who watch the daemon how it is: systemd, and a health check by a file.

The file is written anew every few seconds; put it where that wears no flash, such as /run or /tmp.
`problem_of` is the check: a daemon that hangs, or was killed, leaves a file that grows old.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

from modelwave_shared import supervisor

LOOK_SECONDS = 5
OLD_SECONDS = 30
CONNECTED, CONNECTING = "connected to the broker", "not connected to the broker"
MAX_BYTES = 200


async def until_signal(
    work: Coroutine[Any, Any, None], begun: Callable[[asyncio.Task[None]], None] | None = None
) -> None:
    """Runs `work` until it ends, or SIGINT or SIGTERM cancels it. `begun` is called with its
    task."""
    task = asyncio.create_task(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    if begun:
        begun(task)
    try:
        await task
    except asyncio.CancelledError:
        if not task.cancelled():
            raise


@contextlib.asynccontextmanager
async def supervised(connected: Callable[[], bool], health: Path | None) -> AsyncIterator[None]:
    """Says that the agent is ready, and until the end of the block whether it is connected. Raises
    OSError if the file cannot be written at first."""
    if health:
        _write(health, CONNECTING)
    supervisor.tell(supervisor.READY)
    watching = asyncio.create_task(_watch(connected, health))
    try:
        yield
    finally:
        supervisor.tell(supervisor.STOPPING)
        watching.cancel()
        if health:
            health.unlink(missing_ok=True)


async def _watch(connected: Callable[[], bool], health: Path | None) -> None:
    allowed = supervisor.watchdog_seconds()
    pause = min(LOOK_SECONDS, allowed / 3) if allowed else LOOK_SECONDS
    while True:
        words = CONNECTED if connected() else CONNECTING
        supervisor.tell(supervisor.status(words), supervisor.ALIVE)
        if health:
            with contextlib.suppress(OSError):  # then it grows old
                _write(health, words)
        await asyncio.sleep(pause)


def _write(health: Path, words: str) -> None:
    new = health.with_name(health.name + ".new")
    new.write_text(words + "\n")
    os.replace(new, health)


def problem_of(health: Path, now: float) -> str:
    """Returns what the file says is wrong at `now`, in Unix seconds; "" if the agent is well."""
    try:
        with health.open("rb") as file:
            words = file.read(MAX_BYTES).decode("utf-8", "replace").strip()
            age = now - os.fstat(file.fileno()).st_mtime
    except OSError as error:
        return f"{health}: {error.strerror}: the agent does not run with this --health-file"
    if age > OLD_SECONDS:
        return f"{health}: {age:.0f} seconds old: the agent hangs, or was killed"
    return "" if words == CONNECTED else words
