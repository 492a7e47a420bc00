"""What is shown of devices."""

from dataclasses import dataclass
from typing import Any

from modelwave_shared.words import UNANSWERED, WITHHELD

# {a word of a device's view that is a trouble: what it means}
VIEW_TROUBLES = {
    WITHHELD: "an order or a root is withheld from it",
    UNANSWERED: "its view may be frozen: it hears no heartbeat",
}


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
