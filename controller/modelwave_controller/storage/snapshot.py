"""Copies an SQLite database while services use it, and takes one out of use.

The copy is a snapshot: all that was committed before, and nothing of what is written meanwhile.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from modelwave_controller.errors import OperatorError, StorageError
from modelwave_controller.rollout.events import FLEET, Restored, by
from modelwave_controller.storage import ahead, damage, lease, log, migrate
from modelwave_controller.storage.store import Store

PAGES = 1024  # that are copied between two calls of `tell`
_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CANTOPEN)


def copy(file: Path, to: Path, tell: Callable[[int, int], None]) -> str:
    """Copies a database, and returns the revision of its schema. `tell` gets the pages that are
    copied, and how many there are. Raises StorageError, also if the database is damaged."""
    if problem := damage.cut_short(file):
        raise StorageError(_damaged(file, problem))
    try:
        _copy(file, to, tell)
    except (sqlite3.Error, ValueError) as error:  # ValueError: a message that is not UTF-8
        if problem := damage.found(file) or damage.proof(error):
            raise StorageError(_damaged(file, problem)) from error
        raise StorageError(f"database {file}: {error}") from error
    if problem := damage.found(to):
        raise StorageError(_damaged(file, problem))
    if not (found := revision(to)):
        raise StorageError(f"database {file} is another program's: it has no table of modelwave")
    return found


def _damaged(file: Path, problem: str) -> str:
    return (
        f"database {file} is damaged: {problem}; its backup would be too. `modelwave restore FILE` "
        "puts an earlier one in its place"
    )


def _copy(file: Path, to: Path, tell: Callable[[int, int], None]) -> None:
    uri = file.absolute().as_uri() + "?mode=rw"  # in a WAL database a reader writes its mark
    with closing(sqlite3.connect(uri, uri=True)) as source, closing(sqlite3.connect(to)) as target:
        source.isolation_level = None
        # Without a transaction of its own, the copy begins anew at each write of a service.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        source.backup(
            target, pages=PAGES, progress=lambda _, left, total: tell(total - left, total)
        )


def revision(file: Path) -> str:
    """Returns the revision of a database's schema; "" if modelwave has not made it."""
    with closing(sqlite3.connect(file)) as connection:
        query = "SELECT name FROM sqlite_schema WHERE type = 'table'"
        tables = {name for (name,) in connection.execute(query)}
        if "alembic_version" not in tables:
            return migrate.FIRST if "heads" in tables else ""  # from before the migrations
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(found[0]) if found else ""


def take_out_of_use(file: Path) -> None:
    """Merges what is in the -wal file into the database, so that it can be moved. Raises
    OperatorError if another process has it open."""
    try:
        with closing(sqlite3.connect(file, timeout=0)) as connection:
            (mode,) = connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code in _DAMAGED:
            return
        mode = "wal" if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) else str(error)
    if mode == "wal":
        raise OperatorError(
            f"another process uses the database {file}: stop `modelwave serve` first, and wait for "
            "commands that are running"
        )
    if mode != "delete":
        raise StorageError(f"database {file}: {mode}")


def note_restored(store: Store, made_at: float, now: float, actor: str) -> list[str]:
    """Notes in the log that the database is a backup of `made_at`, Unix seconds: orders of its
    models are not signed until they are recovered, and who led when it was made leads no more.
    Returns these models."""
    with store.write() as connection:
        lease.give_back(connection, now)
        models = ahead.models(connection)
        act = by(actor, Restored(made_at=made_at, models=models))
        log.append(connection, FLEET, now, [act])
    return models
