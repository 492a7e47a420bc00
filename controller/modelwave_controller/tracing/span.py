"""What is sent of a trace."""

from typing import NamedTuple

Attributes = dict[str, str | int]


class Span(NamedTuple):
    """Times are in Unix seconds. `parent` 0: it has none. `failed`: why it counts as an error, or
    ""."""

    trace: int
    id: int
    parent: int
    name: str
    begin: float
    end: float
    attributes: Attributes
    failed: str = ""
