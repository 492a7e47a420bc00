"""The database: durable transactions on SQLite (WAL, synchronous=FULL) or PostgreSQL.

Only one `write()` runs at a time, across all processes: on SQLite it begins IMMEDIATE, on
PostgreSQL it locks the row "event" of `heads`. So what a writer has read does not change before
it commits, and event ids increase in the order of commits.
"""

import contextlib
import copy
import logging
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any, Protocol, cast

from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from modelwave_controller.errors import ModelwaveError, OperatorError, StorageError
from modelwave_controller.storage import damage, migrate, recounting
from modelwave_controller.storage.open_file import DatabaseGone, OpenFile
from modelwave_controller.storage.tables import heads

BUSY_SECONDS = 30  # how long a writer waits for a writer of another process
LOOK_SECONDS = 0.25  # how often it then checks whether to go on waiting
WAL_SECONDS = 0.01  # how often a new database is tried again
MIGRATION_LOCK = 0x6D6F6465  # key of PostgreSQL's advisory lock for migrations

# Errors of SQLite that a damaged file does not cause.
_NO_DAMAGE = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
)

_BUSY = (
    "another process has written to it for {seconds} s: try again, and if that does not help, find "
    "that process with `fuser` and end it"
)
_ADVICE = {
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_FULL: "its disk is full: make room",
    sqlite3.SQLITE_READONLY: "this user must be allowed to write to it and to its folder",
    sqlite3.SQLITE_CANTOPEN: "its folder must exist, and this user be allowed to write there",
    sqlite3.SQLITE_IOERR: "its disk has a fault, or is gone",
}

LEAST_FREE = 1 << 16  # bytes: with less SQLite cannot make the file -shm, and says SQLITE_IOERR

logger = logging.getLogger(__name__)


class Transactions(Protocol):
    """A Store, or what checks each write before it reaches one (service/leader.py)."""

    def read(self) -> AbstractContextManager[Connection]: ...

    def write(self) -> AbstractContextManager[Connection]: ...


class Store:
    """The database of a home. Safe to use from several threads and processes."""

    def __init__(self, url: str) -> None:
        """Opens the database and migrates its schema. Raises OperatorError for a wrong URL,
        StorageError if the database does not answer, is damaged, or a newer modelwave has
        migrated it."""
        parsed = _parsed(url)
        self.shown_url = parsed.render_as_string(hide_password=True)
        self._file = file_of(url)
        self._known_damage = ""
        self._until = float("inf")
        self._engine = _engine(parsed)
        self._is_sqlite = parsed.get_backend_name() == "sqlite"
        if self._is_sqlite:
            event.listen(self._engine, "begin", self._begin_sqlite)
        self._open_file = OpenFile(self._file) if self._file else None
        if self._open_file:
            event.listen(self._engine, "do_connect", self._before_connecting)
        self._writer = self._engine.execution_options(modelwave_writes=True)
        self._note: Callable[[Connection], None] = lambda _connection: None
        self._one_writer = threading.Lock()  # threads wait here, not in SQLite's busy loop
        if self._file and (problem := damage.cut_short(self._file)):
            raise StorageError(self._damaged(problem))
        self._migrate()
        self._recount()
        if self._open_file:
            self._open_file.opened()

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        with self._advice(), self._engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Commits at the end of the block; if it raises, rolls back."""
        with self._advice(), self._one_writer, self._writer.begin() as connection:
            self._limit_waiting(connection)
            _wait_for_writers(connection)
            self._note(connection)
            yield connection

    def noting(self, note: Callable[[Connection], None]) -> "Store":
        """Returns this database once more, where `note` is called first in each write transaction:
        what it writes is stored with what is written after it, or not at all."""
        found = copy.copy(self)
        found._note = note
        return found

    def vacuum(self) -> None:
        """Gives the room of deleted rows back to the disk. It writes the whole database anew, on
        PostgreSQL the tables of answers, and needs as much room again; meanwhile nobody else
        writes there, and on PostgreSQL nobody reads."""
        with self._advice(), self._one_writer, closing(self._engine.raw_connection()) as connection:
            raw: Any = connection.dbapi_connection
            if self._is_sqlite:
                raw.execute("VACUUM")
                raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                return
            raw.rollback()
            raw.autocommit = True  # it cannot run in a transaction
            try:
                raw.execute("VACUUM (FULL, ANALYZE) events, answered, answer_counts")
            finally:
                raw.autocommit = False

    def verify_file(self) -> None:
        """Raises DatabaseGone if the files of an SQLite database were deleted, moved or replaced
        since they were opened."""
        if self._open_file:
            self._open_file.verify()

    def keep(self) -> str:
        """Keeps what is in files that were deleted under this process, as far as possible. Returns
        what to do."""
        assert self._open_file
        assert self._file
        try:
            with self._one_writer, closing(self._engine.raw_connection()) as connection:
                return self._open_file.keep(cast(sqlite3.Connection, connection.dbapi_connection))
        except (SQLAlchemyError, sqlite3.Error, OSError, DatabaseGone) as error:
            return f"it could not be saved ({error}): `modelwave restore FILE` makes a new one"

    def hurry(self, seconds: float) -> None:
        """Limits all waiting for writers of other processes to `seconds` from now, so that this
        process can end soon. (On PostgreSQL a write that waits already may wait up to
        BUSY_SECONDS.)"""
        self._until = time.monotonic() + seconds

    def close(self) -> None:
        self._engine.dispose()
        if self._open_file:
            self._open_file.closed()

    def _before_connecting(self, *_: object) -> None:
        """SQLite would make a new database in the place of one that was deleted."""
        self.verify_file()

    def _begin_sqlite(self, connection: Connection) -> None:
        if not connection.get_execution_options().get("modelwave_writes"):
            connection.exec_driver_sql("BEGIN")
            return
        raw: Any = connection.connection.dbapi_connection
        given_up = time.monotonic() + BUSY_SECONDS
        try:
            _set_busy_timeout(raw, LOOK_SECONDS)
            while time.monotonic() < min(given_up, self._until):
                if _runs(raw, "BEGIN IMMEDIATE"):
                    return
            _set_busy_timeout(raw, 0)
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        finally:
            _set_busy_timeout(raw, BUSY_SECONDS)

    def _limit_waiting(self, connection: Connection) -> None:
        """Limits the wait for locks on PostgreSQL; on SQLite _begin_sqlite has waited already."""
        if not self._is_sqlite:
            patience = min(BUSY_SECONDS, self._until - time.monotonic())
            milliseconds = max(1, int(1000 * patience))  # 0 means no limit
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {milliseconds}")

    def _migrate(self) -> None:
        """Runs due migrations, one process at a time, in one transaction; if none is due, it
        reads."""
        try:
            with self.read() as connection:
                if migrate.revision(connection) == migrate.NEWEST:
                    return
            with self._advice(), self._one_writer, self._writer.begin() as connection:
                self._limit_waiting(connection)
                if not self._is_sqlite:
                    connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
                if migrate.revision(connection) is not None:
                    _wait_for_writers(connection)
                before = migrate.migrate(connection)
        except migrate.UnknownSchema as error:
            raise StorageError(f"database {self.shown_url}: {error}") from error
        if before not in (None, migrate.NEWEST):
            logger.warning(
                "database %s: its schema was migrated from revision %s to %s; an older modelwave "
                "cannot open it any more",
                self.shown_url,
                before,
                migrate.NEWEST,
            )

    def _recount(self) -> None:
        """Computes the counters anew if that is due; if not, it reads."""
        with self.read() as connection:
            due = recounting.is_due(connection)
        if due:
            with self.write() as connection:
                recounting.ensure(connection)

    @contextlib.contextmanager
    def _advice(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error) as error:  # the latter from _begin_sqlite
            cause = getattr(error, "orig", None) or error
            if problem := self._damage(cause) or damage.proof(cause):
                raise StorageError(self._damaged(problem)) from error
            if _code(cause) == sqlite3.SQLITE_READONLY:
                # If its -wal could not be opened for writing once, as the disk had a bad moment,
                # SQLite has it read-only for as long as a connection lives: the next one opens it.
                self._engine.dispose()
            problem = str(cause).splitlines()[0]
            advice = self._what_to_do(cause)
            raise StorageError(f"database {self.shown_url}: {problem}{advice}") from error
        except ModelwaveError:
            raise
        except Exception as error:  # what damaged values cause has no class of its own
            if problem := self._damage(error):
                raise StorageError(self._damaged(problem)) from error
            raise

    def _what_to_do(self, error: BaseException) -> str:
        code = _code(error) & 0xFF
        if code == sqlite3.SQLITE_IOERR and self._is_disk_full():
            code = sqlite3.SQLITE_FULL
        advice = _ADVICE.get(code, "")
        return f"; {advice.format(seconds=BUSY_SECONDS)}" if advice and self._is_sqlite else ""

    def _is_disk_full(self) -> bool:
        if not self._file:
            return False
        try:
            return shutil.disk_usage(self._file.parent).free < LEAST_FREE
        except OSError:
            return False

    def _damage(self, error: BaseException) -> str:
        """Returns what is wrong with the database's file, if damage may have caused the error. It
        is read once: a service meets the same damage at each tick."""
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if self._file and not self._known_damage and code not in _NO_DAMAGE:
            self._known_damage = damage.found(self._file)
        return self._known_damage

    def _damaged(self, problem: str) -> str:
        return (
            f"database {self.shown_url} is damaged: {problem}; `modelwave restore FILE` puts a "
            "backup in its place"
        )


def _wait_for_writers(connection: Connection) -> None:
    """Waits until no other process writes, and keeps others from writing. (On SQLite BEGIN
    IMMEDIATE has done so already.)"""
    connection.execute(select(heads.c.value).where(heads.c.name == "event").with_for_update())


def file_of(url: str) -> Path | None:
    """Returns the file of an SQLite database; None for PostgreSQL. Raises OperatorError for a wrong
    URL."""
    parsed = _parsed(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        return None
    return Path(str(parsed.database))


def shown(url: str) -> str:
    """Returns the URL as it may be shown: without a password. Raises OperatorError."""
    return _parsed(url).render_as_string(hide_password=True)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise OperatorError(
            "database.url: not a URL such as sqlite:////var/lib/modelwave.db or "
            "postgresql://user@host/modelwave"
        ) from error
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise OperatorError(
            f"database.url: {parsed.get_backend_name()!r} is unknown; use sqlite or postgresql"
        )
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed


def _code(error: BaseException) -> int:
    """Returns SQLite's extended code of an error; that of success if it has none."""
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK))


def _engine(url: URL) -> Engine:
    try:
        if url.get_backend_name() != "sqlite":
            return create_engine(url, pool_pre_ping=True)
        engine = create_engine(_careful(url), connect_args={"timeout": BUSY_SECONDS})
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise OperatorError(
            f"database.url: its driver is not installed ({error}); "
            "pip install 'modelwave[postgres]'"
        ) from error
    event.listen(engine, "connect", _sqlite_connected)
    return engine


def _careful(url: URL) -> URL:
    """Returns the URL of an SQLite database that shares no block of the disk between two commits.

    SQLite takes for granted that a power cut in the middle of a write damages nothing beside it
    (`psow`), and begins a commit in the block where the last one ends. An SD card or a cheap SSD
    may lose that whole block, with a commit that was acted on. Without it each commit writes its
    last page once more, up to the end of the block, and syncs as often as before.
    """
    if url.database in (None, "", ":memory:") or str(url.database).startswith("file:"):
        return url
    file = Path(str(url.database)).absolute().as_uri()
    return url.set(database=file).update_query_dict({"psow": "0", "uri": "true"})


def _sqlite_connected(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions itself
    # SQLite does not wait here for another that opens the same new database at this moment.
    given_up = time.monotonic() + BUSY_SECONDS
    while not _runs(connection, "PRAGMA journal_mode = WAL"):
        if time.monotonic() > given_up:
            raise sqlite3.OperationalError("database is locked")
        time.sleep(WAL_SECONDS)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _runs(connection: Any, statement: str) -> bool:
    """Executes the statement; returns False if another connection has the database."""
    try:
        connection.execute(statement)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def _set_busy_timeout(connection: Any, seconds: float) -> None:
    connection.execute(f"PRAGMA busy_timeout = {int(1000 * seconds)}")
