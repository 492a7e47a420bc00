"""Writes of a row only the columns that differ."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, update


def but_same(row: Any, found: dict[str, Any], *key: str) -> dict[str, Any]:
    """Returns the columns of `found` that differ from the row's, and those of its key."""
    return {
        name: value for name, value in found.items() if name in key or getattr(row, name) != value
    }


def update_rows(
    connection: Connection, table: Any, rows: Sequence[dict[str, Any]], *key: str
) -> None:
    """Writes these columns of the rows with these keys; a statement for each set of columns."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[tuple(name for name in row if name not in key)].append(
            {f"new_{name}": value for name, value in row.items()}
        )
    for names, group in groups.items():
        if names:
            its = [table.c[name] == bindparam(f"new_{name}") for name in key]
            values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
            connection.execute(update(table).where(*its).values(values), group)
