"""Writes many rows by statements of the driver's own. SQLAlchemy gives each value of each row a
name, which takes longer than SQLite takes to write it. SQLite runs a statement for each row;
PostgreSQL one for all, which has a list of the values of each column and makes rows of them."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Float

from modelwave_controller.storage.tables import metadata

Rows = Sequence[tuple[Any, ...]]


def insert(connection: Connection, table: str, columns: Iterable[str], rows: Rows) -> None:
    """Adds rows with these columns, in their order."""
    _insert(connection, table, list(columns), rows, "")


def insert_or(
    connection: Connection, table: str, columns: Iterable[str], rows: Rows, replaced: str
) -> None:
    """Adds rows with these columns, in their order, of which the first is the table's key. A row
    with this key that is there already is changed as `replaced` says in SQL, where `excluded` is
    the new one. No two have the same key."""
    key, *others = columns
    change = f" ON CONFLICT ({quoted([key])[0]}) DO UPDATE SET {replaced}"
    _insert(connection, table, [key, *others], rows, change)


def _insert(
    connection: Connection, table: str, names: list[str], rows: Rows, conflict: str
) -> None:
    into = f"INSERT INTO {table} ({', '.join(quoted(names))})"
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        places = ", ".join("?" * len(names))
        connection.exec_driver_sql(f"{into} VALUES ({places}){conflict}", list(rows))
    else:
        made = f"{into} SELECT * FROM {_unnested(connection, table, names)}{conflict}"
        connection.exec_driver_sql(made, _lists(table, names, rows))


def update(
    connection: Connection, table: str, columns: Iterable[str], key: Iterable[str], rows: Rows
) -> None:
    """Writes these columns of the rows with these keys; a row has the values of both, in their
    order. No two have the same key."""
    changed, its = list(columns), list(key)
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        changes = ", ".join(f"{name} = ?" for name in quoted(changed))
        where = " AND ".join(f"{name} = ?" for name in quoted(its))
        connection.exec_driver_sql(f"UPDATE {table} SET {changes} WHERE {where}", list(rows))
    else:
        names = [*changed, *its]
        changes = ", ".join(f"{name} = new.{name}" for name in quoted(changed))
        where = " AND ".join(f"{table}.{name} = new.{name}" for name in quoted(its))
        given = f"{_unnested(connection, table, names)} AS new ({', '.join(quoted(names))})"
        made = f"UPDATE {table} SET {changes} FROM {given} WHERE {where}"
        connection.exec_driver_sql(made, _lists(table, names, rows))


def quoted(columns: Iterable[str]) -> list[str]:
    """Returns the names as both databases take them, "release" too, which is a word of SQL."""
    return [f'"{name}"' for name in columns]


def _unnested(connection: Connection, table: str, names: Sequence[str]) -> str:
    its = metadata.tables[table].c
    types = [its[name].type.compile(connection.dialect) for name in names]
    return f"unnest({', '.join(f'%s::{kind}[]' for kind in types)})"


def _lists(table: str, names: Sequence[str], rows: Rows) -> tuple[list[Any], ...]:
    """Returns the values of each column; the driver takes no list of integers and fractions."""
    its = metadata.tables[table].c
    both = zip(names, zip(*rows, strict=True), strict=True)
    return tuple(
        [*map(float, values)] if isinstance(its[name].type, Float) else [*values]
        for name, values in both
    )
