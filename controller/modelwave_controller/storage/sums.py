"""Adds to the column `devices` of a table of counters."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, TextClause, text

Key = TypeVar("Key", bound=Sequence[object])


def add(connection: Connection, table: Table, deltas: Mapping[Key, int]) -> None:
    """`deltas`: {the values of the table's key: what is added}. A row that comes to 0 is
    deleted."""
    names = [column.name for column in table.primary_key]
    rows: list[dict[str, Any]] = [
        {**dict(zip(names, key, strict=True)), "devices": number}
        for key, number in deltas.items()
        if number
    ]
    added, emptied = _statements(table)
    if rows:
        connection.execute(added, rows)
    if less := [row for row in rows if row["devices"] < 0]:
        connection.execute(emptied, less)


@cache
def _statements(table: Table) -> tuple[TextClause, TextClause]:
    """Both kinds of database know this form, for which SQLAlchemy has one of each."""
    key = [column.name for column in table.primary_key]
    columns, name = [*key, "devices"], table.name
    added = (
        f"INSERT INTO {name} ({', '.join(columns)}) "
        f"VALUES ({', '.join(f':{column}' for column in columns)}) "
        f"ON CONFLICT ({', '.join(key)}) "
        f"DO UPDATE SET devices = {name}.devices + excluded.devices"
    )
    its = " AND ".join(f"{column} = :{column}" for column in key)
    return text(added), text(f"DELETE FROM {name} WHERE {its} AND devices = 0")
