"""The lock of a state folder: two agents must not share one."""

import fcntl
import os
from pathlib import Path

from modelwave_agent.host.config import ConfigError


def locked(state: Path) -> int:
    """Makes the state folder if necessary, and locks it, also if it cannot be written. Returns
    the descriptor that holds the lock. Raises ConfigError."""
    try:
        if not state.is_dir():
            state.mkdir(parents=True)
        lock = _lockable(state)
    except OSError as error:
        raise ConfigError(f"state: {state}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise ConfigError(
            f"state: {state}: another agent is using it; stop it, or give each its own folder"
        ) from error
    return lock


def _lockable(state: Path) -> int:
    path = state / "agent.lock"  # with a dot, which no model's folder has
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        # Nothing can be written there. The folder itself can be locked as well.
        return os.open(path if path.exists() else state, os.O_RDONLY | os.O_CLOEXEC)
