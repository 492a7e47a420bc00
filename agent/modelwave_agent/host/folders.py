"""Makes folders that are still there after a power cut: the name of each is synced, also if a
program that was killed has made it."""

import errno
from pathlib import Path

from modelwave_agent.journal import sync_name


def make_folder(folder: Path) -> None:
    """Makes the folder, and those above it, where they are missing. Raises OSError, if a second try
    fails too: else one bad moment of the disk would leave a device without a place for models for
    as long as its agent runs."""
    try:
        _make(folder)
    except OSError:
        _make(folder)


def _make(folder: Path) -> None:
    if folder.is_dir():
        try:
            sync_name(str(folder))
        except OSError as error:
            if error.errno != errno.EROFS:  # a medium that is read-only loses no name
                raise
        return
    if folder.parent != folder:
        _make(folder.parent)
    folder.mkdir(exist_ok=True)
    try:
        sync_name(str(folder))
    except OSError:
        folder.rmdir()  # else it would be taken for one that is on the medium
        raise
