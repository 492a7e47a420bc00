"""Cuts long lists of values into parts, as databases limit the number of values in a statement."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection

MAX_VALUES = 500

T = TypeVar("T")


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[start : start + MAX_VALUES] for start in range(0, len(values), MAX_VALUES))


def rows_with(
    connection: Connection, query: Any, column: Any, values: Sequence[object]
) -> Iterator[Any]:
    """Yields the rows of the query in which the column has one of these values."""
    for chunk in chunks(values):
        yield from connection.execute(query.where(column.in_(chunk)))
