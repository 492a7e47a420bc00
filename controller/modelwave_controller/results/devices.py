"""What is shown of devices."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DevicePage:
    """`more`: others follow the last one; `problem`: why the database is not up to date, and what
    to do, or ""."""

    devices: list[dict[str, Any]]
    more: bool
    problem: str


@dataclass(frozen=True)
class Forgotten:
    """A device that was forgotten, and the tags that are kept for it."""

    device: str
    forgotten: bool
    tags: list[str]
