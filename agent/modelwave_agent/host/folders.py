"""Makes folders that are still there after a power cut: the name of each is synced, also if a
program that was killed has made it."""

import contextlib
from pathlib import Path

from modelwave_agent.journal import sync_name


def make_folder(folder: Path) -> None:
    """Makes the folder, and those above it, where they are missing. Raises OSError."""
    if folder.is_dir():
        with contextlib.suppress(OSError):  # the medium may be read-only
            sync_name(str(folder))
        return
    if folder.parent != folder:
        make_folder(folder.parent)
    try:
        _made(folder)
    except OSError:
        _made(folder)  # the error may have passed


def _made(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    try:
        sync_name(str(folder))
    except OSError:
        folder.rmdir()  # else it would be taken for one that is on the medium
        raise
