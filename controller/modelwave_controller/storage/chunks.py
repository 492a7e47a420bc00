"""Asks with long lists of values. Databases limit the number of values in a statement: a list is
cut into parts, or is one value, of which the statement makes rows."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import ARRAY, Connection, Text, any_, func, literal, select

MAX_VALUES = 500

T = TypeVar("T")


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[start : start + MAX_VALUES] for start in range(0, len(values), MAX_VALUES))


def rows_with(
    connection: Connection, query: Any, column: Any, values: Sequence[str]
) -> Iterator[Any]:
    """Yields the rows of the query in which the column has one of these values."""
    if values:
        yield from connection.execute(query.where(_is_one_of(connection, column, values))).all()


def _is_one_of(connection: Connection, column: Any, values: Sequence[str]) -> Any:
    """Returns the condition; SQLAlchemy would compile a value for each anew each time."""
    if connection.dialect.name == "postgresql":
        return column == any_(literal(list(values), ARRAY(Text)))
    rows = func.json_each(json.dumps(list(values))).table_valued("value")
    return column.in_(select(rows.c.value))
