"""What is shown of releases."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class HeldOut:
    """A share of right answers on held-out data, and how many examples it is of."""

    share: float
    n: int


@dataclass(frozen=True)
class Release:
    """A release of a model for one target: its manifest as it was signed, and the sha256 of that.

    `held_out`: its metrics, by name. `trouble`: why devices refuse it now, "" if they do not.
    """

    sha256: str
    manifest: dict[str, Any]
    held_out: dict[str, HeldOut]
    trouble: str


@dataclass(frozen=True)
class Added(Release):
    """A release that was added to the home. `new`: it was not there, or is newly signed. `deltas`:
    which were made for it, in words. `unlogged`: why the log does not have it, "": it has."""

    new: bool
    deltas: list[str]
    unlogged: str


@dataclass(frozen=True)
class ReleasePage:
    """`next`: the cursor of the page after this one, "" at the end."""

    releases: list[Release]
    next: str
