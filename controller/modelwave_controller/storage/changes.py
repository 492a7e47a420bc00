"""Writes of a row only the columns that differ."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection

from modelwave_controller.storage import many


def but_same(row: Any, found: dict[str, Any], *key: str) -> dict[str, Any]:
    """Returns the columns of `found` that differ from the row's, and those of its key."""
    stored = _values(tuple(found))(row)
    return {
        name: value
        for (name, value), old in zip(found.items(), stored, strict=True)
        if value != old or name in key
    }


@cache
def _values(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """Returns a function that returns these columns of a row; there are two or more."""
    return attrgetter(*names)


def update_rows(
    connection: Connection, table: Any, rows: Sequence[dict[str, Any]], *key: str
) -> None:
    """Writes these columns of the rows with these keys; a statement for each set of columns."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[tuple(row)].append(row)
    for names, group in groups.items():
        columns = [name for name in names if name not in key]
        if columns:
            values = [tuple([row[name] for name in (*columns, *key)]) for row in group]
            many.update(connection, table.name, columns, key, values)
