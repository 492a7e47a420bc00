"""Migrates a database's schema to the revision that this program works with.

The scripts are Alembic's (migrations/versions), and only upgrade. All that are due run in the
caller's one transaction, so a process that is killed meanwhile leaves the old schema intact.

    database                              scripts that run
    no table of modelwave                 all: it is new
    `heads` has schema 1, no revision     those after 0001: it was made before migrations existed
    a known revision                      those after it
    any other                             none: it is refused
"""

import logging
import sqlite3
from typing import TYPE_CHECKING

from sqlalchemy import Connection, column, inspect, select, table
from sqlalchemy.exc import DBAPIError

from modelwave_controller.storage.tables import heads

if TYPE_CHECKING:
    from alembic.config import Config

# As in migrations/versions, oldest first; test_migrations.py compares.
KNOWN = (
    *("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010"),
    *("0011", "0012", "0013", "0015", "0018", "0019", "0020", "0021", "0022", "0023"),
    *("0024", "0025", "0026", "0027"),
)
FIRST, NEWEST = KNOWN[0], KNOWN[-1]

# PostgreSQL's: duplicate column, duplicate table, undefined table, undefined column.
_OTHER_TABLES = ("42701", "42P07", "42P01", "42703")

_alembic_version = table("alembic_version", column("version_num"))


class UnknownSchema(Exception):
    """This program cannot migrate the database; the message says why."""


def revision(connection: Connection) -> str | None:
    """Returns the schema's revision; None for a new database. Raises UnknownSchema."""
    tables = inspect(connection)
    if tables.has_table("alembic_version"):
        found = connection.scalar(select(_alembic_version.c.version_num))
        if found is not None:
            return str(found)
    if not tables.has_table("heads"):
        return None
    schema = connection.scalar(select(heads.c.value).where(heads.c.name == "schema"))
    if schema != 1:
        raise UnknownSchema(
            f"its tables are of version {schema}, and it names no revision: it is damaged; "
            "`modelwave restore FILE` puts a backup in its place"
        )
    return FIRST


def migrate(connection: Connection) -> str | None:
    """Runs the migrations that are due in `connection`'s transaction. Returns the revision before
    them, None for a new database. Raises UnknownSchema."""
    before = revision(connection)
    if before is not None and before not in KNOWN:
        raise UnknownSchema(
            f"its schema has revision {before[:64]!r}, and this modelwave knows revisions up to "
            f"{NEWEST}: use the newer modelwave that migrated it"
        )
    if before != NEWEST:
        _upgrade(connection, before)
    return before


def _upgrade(connection: Connection, before: str | None) -> None:
    # The store logs the migration; Alembic would log each import of it too.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from alembic import command
    from alembic.util import CommandError

    config = alembic_config(connection)
    try:
        if before == FIRST:
            command.stamp(config, FIRST)
        command.upgrade(config, NEWEST)
    except (DBAPIError, CommandError) as error:
        cause = getattr(error, "orig", None) or error
        if isinstance(error, DBAPIError) and not _has_other_tables(cause):
            raise
        problem = str(cause).splitlines()[0]
        raise UnknownSchema(
            f"it says that its schema has revision {before or 'none'}, and its tables are of "
            f"another one ({problem}): it is damaged; `modelwave restore FILE` puts a backup in "
            "its place"
        ) from error


def _has_other_tables(error: BaseException) -> bool:
    """Returns whether a migration failed as a table or column is there already, or is not."""
    if isinstance(error, sqlite3.Error):
        return error.sqlite_errorcode == sqlite3.SQLITE_ERROR
    return getattr(error, "sqlstate", "") in _OTHER_TABLES


def alembic_config(connection: Connection) -> "Config":
    """Returns the configuration for Alembic's commands to work in `connection`'s transaction."""
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", f"{__package__}:migrations")
    return config
