"""What is shown of a rollout that begins, and of one that would: the dry run."""

from dataclasses import dataclass, field
from typing import Any

from modelwave_controller.results.rollouts import Status


@dataclass(frozen=True)
class Started:
    """`deltas`: what was made for it, in words; `but`: what is to be known of its devices."""

    status: Status
    deltas: list[str]
    no_deltas: str  # why none could be made; "": nothing went wrong
    but: list[str]


@dataclass(frozen=True)
class PlannedDevice:
    """A device in a stage (from 0), and in a shadow stage before it (None: in none). `shortfalls`
    says why it would reject the release, `unreadable` why it cannot read the order or the manifest,
    so that its stage would not open."""

    device: str
    target: str
    slot: int
    stage: int
    shortfalls: list[str]
    unreadable: list[str]
    shadow_stage: int | None = None


@dataclass(frozen=True)
class Sight:
    """What a stage (from 0) sees by a gate, of the devices that measure it. Harm and margins are in
    the units of the gate, of a ratio relative, 0.2 for a fifth, and of a quantile in the share of
    inferences above an edge near it; `allowed` is the margin with the stage's allowance, and
    `least_margin` the one that the plan would have to name for `smallest_margin`, None where that
    is none that a plan can name. `passes`: how often a release without harm passes;
    `holds`: whether it holds else. `why`: the reason that there are none of these. `targets`: the
    smallest harm of each by itself, if there are several."""

    stage: int
    whom: str
    gate: str
    canaries: int
    controls: int
    allowed: float
    holds: bool
    smallest_harm: float | None = None
    smallest_margin: float | None = None
    least_margin: float | None = None
    passes: float | None = None
    why: str = ""
    blind: bool = False
    targets: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class HeldOutShare:
    share: float
    n: int


@dataclass(frozen=True)
class ComparedShares:
    """A metric of both releases: the difference is new less old, its interval one of 95 %."""

    name: str
    new: HeldOutShare
    old: HeldOutShare
    difference: float
    least: float
    most: float
    worse: bool


@dataclass(frozen=True)
class HeldOut:
    """The held-out metrics of a target's new release, and of the one that a revert goes back to:
    none of either, if it has none, or if it is unknown to this home."""

    new: dict[str, HeldOutShare]
    old: dict[str, HeldOutShare]
    compared: list[ComparedShares]


@dataclass(frozen=True)
class DryRun:
    """`whom`: of each stage, for whom it is; `banned`: devices that would reject the release, as
    they rolled it back; `downgrade`: which devices it takes back to an older release, or "";
    `refused`: why it would not start, or ""; `another`: which stages wait for another's approval by
    the fleet's settings alone, or ""."""

    banned: list[str]
    downgrade: str
    seed: int
    plan: dict[str, Any]
    devices: list[PlannedDevice]
    held_out: dict[str, HeldOut]  # by target
    sees: list[Sight]
    refused: str
    release: int
    whom: list[str]
    another: str = ""


@dataclass(frozen=True)
class LintedStage:
    """A stage, counted from 1. `looks` says when, after the broker has its orders; it is empty
    where nothing that devices measure is judged, and `why` says the reason."""

    stage: int
    whom: str
    soak: str
    opens: str
    gates: list[str]
    looks: list[str]
    margins: int
    at_the_end: str
    why: str
    approval: bool | str  # whether it waits for one, or what is to be checked for it
    by_another: bool  # than who started the rollout
