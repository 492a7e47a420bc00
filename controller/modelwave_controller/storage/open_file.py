"""Notices that the files of an SQLite database are deleted, moved or replaced while it is open, and
keeps what they hold.

Nothing fails then: a process goes on with the file that it has open, and what it writes is lost
when it ends. What happened decides what is kept:

    the database was deleted or replaced    a copy of it is saved beside
    it was moved, or a folder above it      nothing has to be: it is whole where it is now
    FILE-wal was deleted                    what it holds is written into the database
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from modelwave_controller.errors import StorageError

SAVED = ".saved-"
_DELETED = " (deleted)"


class DatabaseGone(StorageError):
    """The process must end: it works on a database that nobody else will see."""


class OpenFile:
    """The file of a database that this process has open."""

    def __init__(self, path: Path) -> None:
        """Raises StorageError if the database was deleted under a service that saved it."""
        self.path = path
        self._wal = os.path.realpath(path) + "-wal"
        self._identity: tuple[int, int] | None = None
        saved = sorted(path.parent.glob(f"{path.name}{SAVED}*"))
        if saved:
            raise StorageError(
                f"database {path}: it was deleted under a service, which saved it as {saved[-1]}: "
                f"`mv {saved[-1]} {path}`, or move it elsewhere to go on without it"
            )

    def opened(self) -> None:
        """Notes which file it is; call it when the first connection stands."""
        with contextlib.suppress(OSError):
            self._identity = _identity(os.stat(self.path))

    def closed(self) -> None:
        """Notes that the process has it open no longer."""
        self._identity = None

    def verify(self) -> None:
        """Raises DatabaseGone if the database is no longer at its path."""
        if self._identity is None:
            return
        try:
            there = _identity(os.stat(self.path)) == self._identity
        except FileNotFoundError:
            there = False
        except OSError:
            return  # this may pass
        if not there:
            raise DatabaseGone(f"database {self.path} was deleted, moved or replaced")
        if self._wal + _DELETED in _open_files().values():
            raise DatabaseGone(f"{self._wal} was deleted; it is a part of the database")

    def keep(self, connection: sqlite3.Connection) -> str:
        """Keeps what would be lost, by a connection from before. Returns what to do. Raises
        sqlite3.Error and OSError."""
        if self._wal + _DELETED in _open_files().values() and os.path.exists(self.path):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return f"what it held is in {self.path}: start `modelwave serve` again"
        moved = next((p for fd, p in _open_files().items() if self._is_it(fd)), None)
        if moved is not None:
            return f"it is {moved} now: move it back, or start `modelwave serve` with its home"
        saved = self.path.with_name(f"{self.path.name}{SAVED}{time.strftime('%Y%m%d-%H%M%S')}")
        with closing(sqlite3.connect(saved)) as target:
            connection.backup(target)
        self._remove_rest()
        again = f"`mv {saved} {self.path}`, and start `modelwave serve` again"
        return f"what it held is saved as {saved}: {again}"

    def _is_it(self, descriptor: int) -> bool:
        """Returns whether the descriptor is of the database, which is not deleted."""
        try:
            found = os.fstat(descriptor)
        except OSError:
            return False
        return _identity(found) == self._identity and found.st_nlink > 0

    def _remove_rest(self) -> None:
        """Removes FILE-wal and FILE-shm of a database that was deleted: SQLite would apply them to
        the one that comes into its place."""
        ours = set()
        for descriptor in _open_files():
            with contextlib.suppress(OSError):
                ours.add(_identity(os.fstat(descriptor)))
        for suffix in ("-wal", "-shm"):
            rest = self.path.with_name(self.path.name + suffix)
            if rest.exists() and _identity(rest.stat()) in ours:
                rest.unlink()


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _open_files() -> dict[int, str]:
    """Returns the paths of this process's open files, by descriptor; none where the system does
    not say."""
    return dict(_listed())


def _listed() -> Iterator[tuple[int, str]]:
    try:
        names = os.listdir("/proc/self/fd")
    except OSError:
        return
    for name in names:
        with contextlib.suppress(OSError):
            yield int(name), os.readlink(f"/proc/self/fd/{name}")
