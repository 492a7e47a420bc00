"""What is shown of rollouts: plain values, made by operations/, printed, drawn, and sent as JSON.

What reads them needs neither the database nor the code that judges.
"""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Saved:
    """What deltas have spared the devices that run a release."""

    devices: int
    bytes: int


NOTHING_SAVED = Saved(0, 0)


@dataclass(frozen=True)
class Problem:
    """A device that did not succeed, and the reason that it reported. `then` says when it tries
    again by itself, or of a silent one when it last reported: a moment, which stays the same
    between two reports; or ""."""

    device: str
    outcome: str
    reason: str
    then: str = ""


@dataclass(frozen=True)
class GateRow:
    """What stands of a gate in a stage, counted from 1; `target` is "" for all together. `harm` is
    how much worse canaries are than controls, or the mean where the gate is a fixed limit, with
    its bounds; None: there was nothing to compare. `look` is the newest one, such as "2 of 4"."""

    stage: int
    gate: str
    target: str
    verdict: str
    harm: float | None
    low: float | None
    high: float | None
    margin: float | None
    canaries: int
    controls: int
    p: float | None
    needs: str
    reason: str
    look: str


@dataclass(frozen=True)
class MovedClass:
    """The shares of a class among the predictions of both sides."""

    name: str
    canaries: float
    controls: float


@dataclass(frozen=True)
class DriftRow:
    """What the newest look of a stage, counted from 1, found for a target. `distance` is the share
    of predictions that would have to be others; `canaries` and `controls` how many there were."""

    stage: int
    target: str
    distance: float
    canaries: int
    controls: int
    moved: list[MovedClass]


@dataclass(frozen=True)
class Waits:
    """It waits for `what`, "approval" or "start", before `stage`, from 1, `since` a moment in Unix
    seconds and `until` another one, if that ends it. `check` is what the plan says is to be
    checked, and `not_by` who may not approve, or ""; `command` ends it at once."""

    what: str
    stage: int
    since: float
    until: float | None
    check: str
    command: str
    not_by: str = ""


@dataclass(frozen=True)
class SeriesPoint:
    """Window `window`, from 1, of a stage. `canaries`, `controls`: the means of the devices' means,
    None where nobody measured; of `devices`, of which `canary_devices` are canaries. What a plan
    compares by a ratio, such as latency in ms, is a geometric mean."""

    window: int
    canaries: float | None
    controls: float | None
    devices: int
    canary_devices: int


Series = dict[str, list[SeriesPoint]]  # by gate, as the plan writes it


@dataclass(frozen=True)
class StageRow:
    """The row of a stage, or of a revert. `silent` counts devices without an answer, after the
    deadline also those still in progress; `deferred` those whose program does not let the update go
    on now; `to_open` known devices that further parts of it open; `gate` is one word. `promoted`
    says who ended its soak, and what was skipped."""

    name: str
    devices: int
    in_progress: int
    succeeded: int
    rolled_back: int
    failed: int
    rejected: int
    canceled: int
    silent: int
    gate: str
    reason: str
    deferred: int = 0
    shadowed: int = 0
    to_open: int = 0
    promoted: str = ""


@dataclass(frozen=True)
class Entry:
    """A rollout in the list of all; `reason` is its status' `why`, where it is not over."""

    rollout: int
    model: str
    release: int | None  # None: its beginning is not understood
    targets: list[str]
    status: str
    stages: str  # "2/4": opened and planned
    reason: str


@dataclass(frozen=True)
class Status:
    rollout: int
    model: str
    release: int  # 0, without targets, if the `created` event was not understood
    version: str
    targets: list[str]
    seed: int | None  # that has drawn the order of slots; None: of before there were seeds
    status: str
    why: str
    next: str
    warnings: list[str]
    rows: list[StageRow]
    problems: list[Problem]  # the first of them
    more_problems: int = 0  # how many others there are
    find_others: str = ""  # the commands that name them
    judged: list[GateRow] = field(default_factory=list)
    next_look: str = ""
    drift: list[DriftRow] = field(default_factory=list)
    waits: Waits | None = None
    series: Series = field(default_factory=dict)  # of the newest stage, `series_stage`, from 1
    series_stage: int = 0  # 0: there is none
    series_of_all: bool = True  # devices; else of some (operations/series.py)
    saved: Saved = NOTHING_SAVED  # what deltas have spared devices that run its release
    final: bool = False  # its status stays, unless somebody reverts it

    def json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Promoted:
    """The rollout after a promotion, and what was skipped."""

    skipped: str
    status: Status
