"""Locks of files in the state folder. A lock is the system's: nothing is written for it, and it
ends with the process that holds it, however that ends.

agent.lock       held by the agent: two agents must not share a state folder
agent.connected  held while the agent is connected to the broker, for `modelwave-agent status`
"""

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from modelwave_agent.host.folders import make_folder
from modelwave_agent.host.settings_reader import ConfigError

LOCK, CONNECTED = "agent.lock", "agent.connected"  # with a dot, which no model's folder has
LOOK_SECONDS = 2.0
PAUSES = (0.02, 0.1, 0)  # who asks whether a lock is held has it for a moment


def locked(state: Path) -> int:
    """Makes the state folder if necessary, and locks it, also if it cannot be written. Returns
    the descriptor that holds the lock. Raises ConfigError."""
    try:
        make_folder(state)
        lock = _lockable(state)
    except OSError as error:
        raise ConfigError(f"state: {state}: {error.strerror}") from error
    try:
        for pause in PAUSES:
            if _takes(lock, fcntl.LOCK_EX):
                return lock
            time.sleep(pause)
    except OSError as error:
        os.close(lock)
        raise ConfigError(f"state: {state}: {error.strerror}") from error
    os.close(lock)
    raise ConfigError(
        f"state: {state}: another agent is using it; stop it, or give each its own folder"
    )


def is_running(state: Path) -> bool:
    """Returns whether an agent uses the state folder. Raises OSError if it may not be read."""
    path = state / LOCK
    return _is_held(path if path.exists() else state)


def is_connected(state: Path) -> bool:
    """Returns whether the agent of the state folder says that it is connected. Raises OSError."""
    return _is_held(state / CONNECTED)


@contextlib.asynccontextmanager
async def showing(state: Path, connected: Callable[[], bool]) -> AsyncIterator[None]:
    """Shows until the end of the block, by the lock for it, whether the agent is connected."""
    task = asyncio.create_task(_show(state, connected))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _show(state: Path, connected: Callable[[], bool]) -> None:
    lock: int | None = None
    try:
        while True:
            if lock is None and connected():
                lock = _taken(state / CONNECTED)
            elif lock is not None and not connected():
                os.close(lock)
                lock = None
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        if lock is not None:
            os.close(lock)


def _taken(path: Path) -> int | None:
    """Takes the lock; None if that is not possible now."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        return None
    with contextlib.suppress(OSError):
        if _takes(lock, fcntl.LOCK_EX):
            return lock
    os.close(lock)
    return None


def _is_held(path: Path) -> bool:
    try:
        lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _takes(lock, fcntl.LOCK_SH)
    finally:
        os.close(lock)


def _takes(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lockable(state: Path) -> int:
    path = state / LOCK
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        # Nothing can be written there. The folder itself can be locked as well.
        return os.open(path if path.exists() else state, os.O_RDONLY | os.O_CLOEXEC)
