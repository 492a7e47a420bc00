"""Runs a statement for many rows on the driver's own cursor. SQLAlchemy gives each value of each
row a name, which takes longer than SQLite takes to write it."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection


def run(connection: Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Executes the statement, in which "?" stands for a value and is nothing else, with the values
    of each row."""
    if rows:
        is_sqlite = connection.dialect.name == "sqlite"
        written = statement if is_sqlite else statement.replace("?", "%s")
        connection.exec_driver_sql(written, list(rows))


def insert(
    connection: Connection, table: str, columns: Iterable[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Adds rows with these columns, in their order."""
    names = quoted(columns)
    values = ", ".join("?" * len(names))
    run(connection, f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values})", rows)


def update(
    connection: Connection,
    table: str,
    columns: Iterable[str],
    key: Iterable[str],
    rows: Sequence[tuple[Any, ...]],
) -> None:
    """Writes these columns of the rows with these keys; a row has the values of both, in their
    order."""
    changes = ", ".join(f"{name} = ?" for name in quoted(columns))
    its = " AND ".join(f"{name} = ?" for name in quoted(key))
    run(connection, f"UPDATE {table} SET {changes} WHERE {its}", rows)


def quoted(columns: Iterable[str]) -> list[str]:
    """Returns the names as both databases take them, "release" too, which is a word of SQL."""
    return [f'"{name}"' for name in columns]
