"""What a rollout does next.

    1. A rollout that was taken back waits for its devices, and is over when all have
       answered, or at the last opened stage's deadline.
    2. An operator's revert is done whatever else holds.
    3. A stage that FAILed has failed for good, be it the newest or one that passed before:
       the rollout is reverted, or held where the plan says so. This also holds while it is
       paused or held. No stage ever opens after a FAIL.
    4. Paused or held, nothing opens.
    5. The first stage opens at once. No stage opens while a known device in its slots could
       not read its order: the rollout is held until all can, and then goes on by itself.
    6. An INCONCLUSIVE gate holds the rollout for a person to decide. They may overrule it
       (`accepted`), but never a FAIL.
    7. A stage opens when the one before passed and has soaked: `soak_seconds` since it was
       opened. A stage without any known device has nothing to soak.
    8. When the last one has, the rollout is finished.

The first situation of TABLE, from the top, that holds decides. Nothing here reads a clock,
and each tick asks anew: it is the events that are remembered.
"""

from dataclasses import dataclass
from typing import NamedTuple

from modelwave_controller.phrases import span
from modelwave_controller.rollout import formats, gates
from modelwave_controller.rollout.gates import (
    FAIL,
    INCONCLUSIVE,
    NOBODY,
    PASS,
    PENDING,
    Counts,
    Gate,
)
from modelwave_controller.rollout.plan import Plan, Stage

WAIT, OPEN, HOLD, REVERT, FINISH = "wait", "open", "hold", "revert", "finish"

_RESUME_OR = "`rollout resume` waits for the devices anew, with --accept REASON it overrules the "
_REVERT_OR = "`rollout revert` takes it back, `rollout abort` leaves every device as it is"

_UPDATE = (
    "{next} by itself when these devices report that they read it: update their agents, or "
    "`device forget` those that are gone; " + _REVERT_OR
)

# Situation: (verb, what happens next).
TABLE = {
    "returned": (FINISH, "nothing: it is over"),
    "returning": (WAIT, "it ends when all have answered, in {deadline} at the latest"),
    "revert asked": (REVERT, "its devices are ordered back"),
    "failed": (REVERT, "its devices are ordered back"),
    "failed, to be held": (HOLD, _REVERT_OR),
    "failed, held": (WAIT, _REVERT_OR),
    "paused": (WAIT, "no stage opens until `rollout resume`; opened stages go on"),
    "held": (WAIT, _RESUME_OR + "gate; " + _REVERT_OR),
    "unreadable": (HOLD, _UPDATE),
    "unreadable, held": (WAIT, _UPDATE),
    "new": (OPEN, "{next}"),
    "inconclusive": (HOLD, _RESUME_OR + "gate; " + _REVERT_OR),
    "pending": (WAIT, "the gate decides when the answers suffice, in {deadline} at the latest"),
    "soaking": (WAIT, "{next} in {soak}"),
    "last passed": (FINISH, "nothing: it is over"),
    "passed": (OPEN, "{next}"),
}


@dataclass(frozen=True)
class StageFacts:
    """An opened stage. Times are Unix seconds."""

    opened_at: float
    waiting_since: float  # its deadline runs from here: opened, or resumed after a hold
    counts: Counts
    failed: str = ""  # the reason of a FAIL that was decided before
    accepted: str = ""  # the operator's reason for overruling the gate


@dataclass(frozen=True)
class Facts:
    stages: tuple[StageFacts, ...] = ()
    paused: bool = False
    held: bool = False  # by a gate
    held_by_format: bool = False
    # A text for each known device that could not read what the next stage would be sent.
    unreadable: tuple[str, ...] = ()
    revert_asked: str | None = None  # the operator's reason
    back_at: float | None = None  # when the devices were ordered back
    back: Counts = NOBODY  # their answers to that


class Decision(NamedTuple):
    verb: str
    reason: str
    next: str
    stage: int | None = None  # the stage whose gate decided, and its gate
    gate: Gate | None = None


class _Situation(NamedTuple):
    name: str
    reason: str
    stage: int | None = None
    gate: Gate | None = None


def decide(plan: Plan, facts: Facts, now: float) -> Decision:
    found = _situation(plan, facts, now)
    verb, then = TABLE[found.name]
    return Decision(
        verb, found.reason, then.format(**_times(plan, facts, now)), found.stage, found.gate
    )


def label(plan: Plan, number: int) -> str:
    return f"stage {number + 1} ({plan.stages[number].percent:g} %)"


def stage_gate(stage: Stage, facts: StageFacts, now: float) -> Gate:
    """The gate as it stands, with what was decided for good."""
    if facts.failed:
        return Gate(FAIL, facts.failed)
    gate = gates.judge_stage(
        stage, facts.counts, now >= facts.waiting_since + stage.deadline_seconds
    )
    if facts.accepted and gate.verdict != FAIL:
        return Gate(PASS, f"accepted by the operator: {facts.accepted}")
    return gate


def _situation(plan: Plan, facts: Facts, now: float) -> _Situation:
    if facts.back_at is not None:
        reason = f"taken back: {gates.tally(facts.back, False)}"
        over = now >= facts.back_at + _deadline_seconds(plan, facts)
        return _Situation("returned" if over or not facts.back.pending else "returning", reason)
    if facts.revert_asked is not None:
        return _Situation("revert asked", facts.revert_asked)
    judged = [stage_gate(*pair, now) for pair in zip(plan.stages, facts.stages, strict=False)]
    for number, gate in enumerate(judged):
        if gate.verdict == FAIL:
            name = "failed, held" if facts.held else "failed, to be held"
            name = "failed" if plan.on_fail == "revert" else name
            return _Situation(name, f"{label(plan, number)}: {gate.reason}", number, gate)
    if not judged:
        name = "paused" if facts.paused else "new"
        return _unless_unreadable(_Situation(name, "no stage has opened yet"), plan, facts)
    last = len(judged) - 1
    gate = judged[last]
    reason = f"{label(plan, last)}: {gate.reason}"
    found = _Situation(_newest(plan, facts, gate, now), reason, last, gate)
    return _unless_unreadable(found, plan, facts)


def _unless_unreadable(found: _Situation, plan: Plan, facts: Facts) -> _Situation:
    """`found`, but for one that would open a stage whose order a known device cannot read."""
    if found.name not in ("new", "passed") or not facts.unreadable:
        return found
    name = "unreadable, held" if facts.held_by_format else "unreadable"
    reason = f"{label(plan, len(facts.stages))}: {formats.told(facts.unreadable)}"
    return _Situation(name, reason, found.stage, found.gate)


def _newest(plan: Plan, facts: Facts, gate: Gate, now: float) -> str:
    """The situation that the newest stage and its gate make."""
    if facts.paused:
        return "paused"
    if facts.held:
        return "held"
    if gate.verdict == INCONCLUSIVE:
        return "inconclusive"
    if gate.verdict == PENDING:
        return "pending"
    if _soak_left(plan, facts, now) > 0:
        return "soaking"
    return "last passed" if len(facts.stages) == len(plan.stages) else "passed"


def _soak_left(plan: Plan, facts: Facts, now: float) -> float:
    newest = facts.stages[-1]
    if not newest.counts.devices:
        return 0.0
    return newest.opened_at + plan.stages[len(facts.stages) - 1].soak_seconds - now


def _deadline_seconds(plan: Plan, facts: Facts) -> int:
    return plan.stages[max(0, len(facts.stages) - 1)].deadline_seconds


def _times(plan: Plan, facts: Facts, now: float) -> dict[str, str]:
    """What TABLE's texts name."""
    number = len(facts.stages)
    last = number == len(plan.stages)
    found = {"next": "it is finished" if last else f"{label(plan, number)} opens"}
    if facts.stages:
        since = facts.back_at if facts.back_at is not None else facts.stages[-1].waiting_since
        found["deadline"] = span(since + _deadline_seconds(plan, facts) - now)
        found["soak"] = span(_soak_left(plan, facts, now))
    return found
