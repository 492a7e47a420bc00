"""Brings a database's schema to the revision that this program works with.

The scripts are Alembic's (migrations/versions), and only go forward. All that are due run in
the caller's one transaction: whoever is killed meanwhile leaves the old schema whole.

    no table of ours                       a new database: every revision
    `heads` says schema 1, no revision     made before there were migrations: it has revision 0001
    a revision of ours                     those after it
    any other                              refused
"""

import logging
from typing import TYPE_CHECKING

from sqlalchemy import Connection, column, inspect, select, table

from modelwave_controller.storage.tables import heads

if TYPE_CHECKING:
    from alembic.config import Config

KNOWN = ("0001", "0002")  # as in migrations/versions, oldest first; test_migrations.py compares
FIRST, NEWEST = KNOWN[0], KNOWN[-1]

_alembic_version = table("alembic_version", column("version_num"))


class UnknownSchema(Exception):
    """The database is not one that this program can bring forward; the message says why."""


def revision(connection: Connection) -> str | None:
    """The revision of the database's schema; None for a new database. Raises UnknownSchema."""
    tables = inspect(connection)
    if tables.has_table("alembic_version"):
        found = connection.scalar(select(_alembic_version.c.version_num))
        if found is not None:
            return str(found)
    if not tables.has_table("heads"):
        return None
    schema = connection.scalar(select(heads.c.value).where(heads.c.name == "schema"))
    if schema != 1:
        raise UnknownSchema(f"its tables are of version {schema}, and it names no revision")
    return FIRST


def migrate(connection: Connection) -> str | None:
    """Runs what is due, in `connection`'s transaction; the revision before, None for a new
    database. Raises UnknownSchema."""
    before = revision(connection)
    if before is not None and before not in KNOWN:
        raise UnknownSchema(
            f"its schema is revision {before[:64]!r}, this modelwave knows those up to {NEWEST}: "
            "use the newer modelwave that brought it there"
        )
    if before != NEWEST:
        _upgrade(connection, before)
    return before


def _upgrade(connection: Connection, before: str | None) -> None:
    from alembic import command  # slow to import, and hardly ever needed

    logging.getLogger("alembic").setLevel(logging.WARNING)  # the store says what was done
    config = alembic_config(connection)
    if before == FIRST:
        command.stamp(config, FIRST)
    command.upgrade(config, "head")


def alembic_config(connection: Connection) -> "Config":
    """What Alembic's commands need to work in `connection`'s transaction."""
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", f"{__package__}:migrations")
    return config
