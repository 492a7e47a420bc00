"""What is shown of the fleet."""

from dataclasses import dataclass, field
from typing import Any

OFF, SHOW, REQUIRE = "off", "show", "require"  # what reports have to prove: storage/proven.py


@dataclass(frozen=True)
class ReleaseSums:
    """What inferences with a release came to; `accuracy` None: no answer was known."""

    model: str
    release: int
    devices: int
    inferences: int
    failures: int
    labelled: int
    correct: int
    accuracy: float | None


@dataclass(frozen=True)
class ShadowSums:
    """What inferences with a release that ran beside the live one came to. `agreement` None: no
    output was compared with the live one's."""

    model: str
    release: int
    devices: int
    inferences: int
    failures: int
    compared: int
    agreed: int
    agreement: float | None


@dataclass(frozen=True)
class Membership:
    """Devices by name: enrolled and never heard; waiting for approval; revoked, and reporting."""

    expected: list[str]
    waiting: list[str]
    revoked: list[str]


@dataclass(frozen=True)
class Gateway:
    """It speaks for `devices`. `online` None: not known; else `since` when, in Unix seconds, 0:
    nothing came from it itself."""

    gateway: str
    online: bool | None
    since: float
    devices: int


@dataclass(frozen=True)
class Fleet:
    fleet: str
    devices: int
    online: int | None  # None: not known, because no service receives messages now
    silent: int  # of those that are online
    targets: dict[str, int]
    live: list[dict[str, Any]]  # model, release (0: none), devices
    rollouts: list[dict[str, Any]]  # those that are not over
    metrics: list[ReleaseSums]
    shadows: list[ShadowSums]  # of releases that ran beside the live one
    service_seen_at: int
    service_runs: bool
    problem: str  # of the service or its connection, and what to do; "": none
    clock_doubt: str  # "": none
    key_away: str  # why no order can be signed with the order key; "": it can
    restored: list[str]  # models whose order numbers are to be recovered after a restore
    behind: dict[str, str]  # by model: what the broker holds that this database does not know
    leader: dict[str, Any] | None  # the service that leads: host, pid; None also if it is dead
    shares: list[dict[str, Any]]  # with ingest processes: share, host, pid ("", 0: nobody)
    link: dict[str, Any]  # its connection to the broker: connected, since (Unix seconds)
    cloned: list[str]  # ids that two devices use
    views: dict[str, list[str]]  # by word (devices.VIEW_TROUBLES): devices whose view is not fresh
    membership: Membership  # devices of which nothing is stored
    proof: str  # whether reports have to prove their device: off, show, require
    in_doubt: list[str]  # devices whose newest report is not proven
    warnings: list[str]  # about its roots and its settings
    unproven: list[str]  # names in which something came within a day that was not proven
    gateways: list[Gateway] = field(default_factory=list)  # enrolled, or named by devices
