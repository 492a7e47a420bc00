"""All that is known about a rollout, for a page that a person can file: plain values, bounded."""

from dataclasses import dataclass

from modelwave_controller.results.rollouts import GateRow, Problem, StageRow, Status

NEW, BEFORE = "new", "before"  # roles of releases


@dataclass(frozen=True)
class GateLook:
    """What a look found of a gate in all targets together. `stage` is from 1, `harm` as in
    GateRow."""

    stage: int
    windows: int
    verdict: str
    harm: float | None
    low: float | None
    high: float | None
    margin: float | None
    canaries: int
    controls: int


@dataclass(frozen=True)
class GateCourse:
    """`verdict` is what stands in the newest stage that was judged. `is_limit`: `harm` is the mean
    itself, and `margin` the limit; `worse_is_less`: lower values are worse. `stages`: what stands
    in each stage; `targets`: in each target, in the newest one."""

    gate: str
    verdict: str
    is_limit: bool
    worse_is_less: bool
    looks: list[GateLook]
    more_looks: int
    stages: list[GateRow]
    targets: list[GateRow]
    more_targets: int


@dataclass(frozen=True)
class StepFigures:
    """A step. None: nothing of that kind was observed."""

    failed: float | None
    accuracy: float | None
    median_ms: float | None


@dataclass(frozen=True)
class ReleaseObserved:
    """A release on the devices of a target. `role`: NEW, BEFORE, or "" for another one; `failed` is
    a share."""

    target: str
    release: int
    role: str
    devices: int
    inferences: int
    failures: int
    failed: float | None
    labelled: int
    correct: int
    accuracy: float | None
    median_ms: float | None
    steps: list[StepFigures]


@dataclass(frozen=True)
class FleetObserved:
    """`since`, `until`: Unix seconds. `more`: how many releases of a target are left out."""

    since: float
    until: float
    step_seconds: int
    rows: list[ReleaseObserved]
    more: dict[str, int]


@dataclass(frozen=True)
class StageTimes:
    """A stage or the way back. Times are in Unix seconds. `began`: the broker had its orders."""

    row: StageRow
    opened: float | None = None
    began: float | None = None
    passed: float | None = None


@dataclass(frozen=True)
class GateDecision:
    """What a gate decided; `stage` counts from 1."""

    at: float
    stage: int
    verdict: str
    reason: str


@dataclass(frozen=True)
class TroubledDevices:
    """The devices with one outcome. `reasons`: the most frequent ones with their counts."""

    outcome: str
    count: int
    reasons: list[tuple[str, int]]
    devices: list[Problem]

    @property
    def more(self) -> int:
        """How many devices are left out."""
        return self.count - len(self.devices)


@dataclass(frozen=True)
class EventLine:
    """An event, in words. `at` is in Unix seconds."""

    at: float
    actor: str
    what: str
    reason: str


@dataclass(frozen=True)
class RolloutReport:
    """All times are in Unix seconds. `before`: by target, the release to revert to. `ended` None:
    it goes on. `courses`: how gates were judged, of which `more_courses` are left out. `answers`:
    how many answers of devices are not among the events."""

    fleet: str
    made_at: float
    program: str
    status: Status
    created: float | None
    actor: str
    before: dict[str, str]
    ended: float | None
    stages: list[StageTimes]
    decisions: list[GateDecision]
    more_decisions: int
    courses: list[GateCourse]
    more_courses: int
    troubles: list[TroubledDevices]
    events: list[EventLine]
    more_events: int
    answers: int
    observed: FleetObserved
