"""Cuts long lists of values into parts, as databases limit the number of values in a statement."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

MAX_VALUES = 500

T = TypeVar("T")


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[start : start + MAX_VALUES] for start in range(0, len(values), MAX_VALUES))
