"""Which device ran which release when."""

from dataclasses import dataclass
from typing import NamedTuple


class Deployment(NamedTuple):
    """A device ran a release from `begin` until `end`, in Unix seconds; None: it still runs. The
    rollout's `order`, sent at `ordered_at` for a `purpose`, and the user who wanted it."""

    device: str
    target: str
    model: str
    release: int
    version: str
    manifest: str  # sha256 of its payload
    ran: str  # LIVE, TRIAL or SHADOW
    begin: float
    end: float | None
    ended_by: str
    rollout: int
    order: int
    purpose: str
    ordered_at: float
    ordered_by: str


@dataclass(frozen=True)
class DeploymentsPage:
    """next: the cursor of the page after it; "": it is the last one
    unknown: answers to orders that the log does not have, on the last page
    """

    rows: list[Deployment]
    next: str
    unknown: int
