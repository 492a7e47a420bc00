"""Writes of a row only the columns that differ."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import itemgetter, ne
from typing import Any

from sqlalchemy import Connection

from modelwave_controller.storage import many

Row = Sequence[Any]


def update_changed(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    rows: Iterable[tuple[Row, Row]],
    *key: str,
) -> None:
    """Stores rows with these columns, those of the key among them. `rows` are pairs: a row as it is
    stored, and as it is to be. There is a statement for each set of columns that differ."""
    groups: dict[tuple[bool, ...], list[Row]] = defaultdict(list)
    for before, after in rows:
        groups[tuple(map(ne, before, after))].append(after)
    for differs, group in groups.items():
        changed = [name for name, one in zip(columns, differs, strict=True) if one]
        if changed:
            values = itemgetter(*(columns.index(name) for name in (*changed, *key)))
            many.update(connection, table, changed, key, [values(row) for row in group])
