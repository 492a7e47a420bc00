"""Decides what a rollout does next. Pure: `now` is an argument.

    1. A reverted rollout waits for its devices, and is over when all have answered, or at the
       deadline of the last opened stage.
    2. A revert that the operator asked for is done in every case.
    3. A FAIL is final, also if it comes from a stage that passed before: the rollout is
       reverted, or held if the plan says so. This also applies while it is paused or held. No
       stage opens after a FAIL.
    4. While a rollout is paused or held, no stage opens.
    5. The first stage opens at once. No stage opens while a known device in its slots cannot
       read its order: the rollout is held until all can, and then continues by itself.
    6. An INCONCLUSIVE gate holds the rollout until the operator decides. The operator may
       overrule it (`accepted`), but not a FAIL.
    7. A stage opens when the stage before it has passed and `soak_seconds` have gone by since
       that one opened. A stage without known devices needs no soak time.
    8. When the last stage has passed and soaked, the rollout is finished.

The first situation of TABLE, from the top, that applies decides. Each tick computes the
decision anew; only the events are stored.
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

_RESUME_OR = "`rollout resume` waits for the devices again, with --accept REASON it overrules the "
_REVERT_OR = "`rollout revert` reverts it, `rollout abort` leaves every device as it is"

_UPDATE = (
    "{next} by itself when these devices report that they can read it: update their agents, or "
    "`device forget` those that are gone; " + _REVERT_OR
)

# Situation: (verb, what happens next).
TABLE = {
    "returned": (FINISH, "it ends as REVERTED"),
    "returning": (WAIT, "it ends when all devices have answered, in {deadline} at the latest"),
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
    "pending": (
        WAIT,
        "the gate decides when enough devices answered, in {deadline} at the latest",
    ),
    "soaking": (WAIT, "{next} in {soak}"),
    "last passed": (FINISH, "it ends as FINISHED"),
    "passed": (OPEN, "{next}"),
}


@dataclass(frozen=True)
class StageFacts:
    """The facts about an opened stage. Times are Unix seconds."""

    opened_at: float
    waiting_since: float  # start of its deadline: when it opened, or resumed after a hold
    counts: Counts
    failed: str = ""  # the reason of a FAIL decided earlier
    accepted: str = ""  # the operator's reason for overruling the gate


@dataclass(frozen=True)
class Facts:
    """The facts about a rollout that a decision needs. Times are Unix seconds."""

    stages: tuple[StageFacts, ...] = ()
    paused: bool = False
    held: bool = False  # by a gate
    held_by_format: bool = False
    # A text for each known device that cannot read the order or manifest of the next stage.
    unreadable: tuple[str, ...] = ()
    revert_asked: str | None = None  # the operator's reason
    back_at: float | None = None  # when the orders to revert were sent
    back: Counts = NOBODY  # the answers to those orders


class Decision(NamedTuple):
    verb: str
    reason: str
    next: str
    stage: int | None = None  # the stage whose gate decided
    gate: Gate | None = None


class _Situation(NamedTuple):
    name: str
    reason: str
    stage: int | None = None
    gate: Gate | None = None


def decide(plan: Plan, facts: Facts, now: float) -> Decision:
    """Returns the decision by the rules above. `now` is in Unix seconds."""
    found = _situation(plan, facts, now)
    verb, then = TABLE[found.name]
    return Decision(
        verb, found.reason, then.format(**_times(plan, facts, now)), found.stage, found.gate
    )


def label(plan: Plan, number: int) -> str:
    return f"stage {number + 1} ({plan.stages[number].percent:g} %)"


def stage_gate(stage: Stage, facts: StageFacts, now: float) -> Gate:
    """Returns the stage's gate at `now`; an earlier FAIL and an overruling take precedence."""
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
        reason = f"reverted: {gates.tally(facts.back, False)}"
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
    """Returns `found`, or "unreadable" in place of one that would open a stage whose order a known
    device cannot read."""
    if found.name not in ("new", "passed") or not facts.unreadable:
        return found
    name = "unreadable, held" if facts.held_by_format else "unreadable"
    reason = f"{label(plan, len(facts.stages))}: {formats.told(facts.unreadable)}"
    return _Situation(name, reason, found.stage, found.gate)


def _newest(plan: Plan, facts: Facts, gate: Gate, now: float) -> str:
    """Returns the situation that follows from the newest stage and its gate."""
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
    """Returns the values for the placeholders in TABLE's texts."""
    number = len(facts.stages)
    last = number == len(plan.stages)
    found = {"next": "the rollout is finished" if last else f"{label(plan, number)} opens"}
    if facts.stages:
        since = facts.back_at if facts.back_at is not None else facts.stages[-1].waiting_since
        found["deadline"] = span(since + _deadline_seconds(plan, facts) - now)
        found["soak"] = span(_soak_left(plan, facts, now))
    return found
