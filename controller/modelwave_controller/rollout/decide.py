"""Decides what a rollout does next. Pure: `now` is an argument.

All times are seconds of the rollout clock (clock.py), not of the wall clock. The deadline and
the soak of a stage begin when the broker has acknowledged its orders, of one that opens in parts
(pace.py) when it has those of the last part; a resume lets the deadline begin anew.

    1. A reverted rollout waits for its devices, and is over when all have answered, or at the
       deadline of the last opened stage.
    2. A revert that the operator asked for is done in every case.
    3. A FAIL is final, also if it comes from a stage that passed before: the rollout is
       reverted, or held if the plan says so. This also applies while it is paused or held. No
       stage opens after a FAIL, unless the operator overrules it (promotion.py): then the same
       roll-backs and looks do not FAIL again, and one more does.
    4. While a rollout is paused or held, no stage opens.
    5. The first stage opens at once, or at the rollout's start time. No stage opens while a known
       device in its slots cannot read its order: the rollout is held until all can, and then
       continues by itself. Nor does a stage open that names devices of which none is known any
       more: others must not run the release before its canaries, so the rollout is held until one
       of them reports again. Before all this it waits for the approval that the plan asks for
       (waiting.py).
    6. An INCONCLUSIVE gate holds the rollout until the operator decides, or until the gate has
       passed by later answers: then the rollout continues by itself. The operator may overrule
       an INCONCLUSIVE gate (`accepted`), but not a FAIL.
    7. A stage opens when the stage before it has passed and has soaked for `soak_seconds`, and
       its planned looks (course.py) were computed, if its devices send windows. A stage without
       known devices needs no soak time. A FAIL of a look counts at once; a gate that has not
       passed at the last planned look holds the rollout, if the plan says so, and further looks
       come while it is held. A HOLD of a look holds it until the operator decides. A stage that was
       promoted waits for neither soak nor looks.
    8. When the last stage has passed and soaked, the rollout is finished.
    9. Devices that the operator asked to be ordered anew get their orders before anything else
       is decided, except after a FAIL. Until they answer, the rollout waits for them.
   10. While a stage opens in parts, roll-backs and FAIL are judged by the devices opened so far,
       and what holds it by the whole stage: the share of a first few devices says little.
       Whatever keeps a stage from opening keeps the next part from it too.
   11. Outside of the plan's maintenance windows no stage opens, nor a part of one, with a device
       that does not judge them by itself. A revert does not wait for them, nor does a shadow,
       which changes no live model. The soak of a stage that waits begins when its devices have
       answered, as they may have waited for a window first.
   12. While the controller's wall clock is in doubt, or the numbers of its orders, because its
       database is older than the orders at the broker or was restored, nothing is signed: no
       stage opens and nothing is reverted, also after a FAIL. The same while the agent or the
       token that holds the order key is away.

The first situation of TABLE, from the top, that applies decides. Each tick computes the
decision anew; only the events are stored.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from modelwave_controller.judge import verdicts
from modelwave_controller.judge.verdicts import FAIL, INCONCLUSIVE, PASS
from modelwave_controller.phrases import listed, moment, plural, span
from modelwave_controller.rollout import formats, gates, pace
from modelwave_controller.rollout.events import Rest
from modelwave_controller.rollout.gates import PENDING, Counts, Gate
from modelwave_controller.rollout.plan import Plan, Stage
from modelwave_controller.rollout.waiting import Approval, Start

WAIT, OPEN, HOLD, REVERT, FINISH = "wait", "open", "hold", "revert", "finish"
CONTINUE, REORDER, ASK, SOAK = "continue", "reorder", "ask", "soak"

_REVERT_OR = (
    "`modelwave rollout revert {rollout}` reverts it, `modelwave rollout abort {rollout}` leaves "
    "every device as it is"
)
_END = "`modelwave rollout abort {rollout}` ends it"
_FORCE = "; `modelwave rollout promote {rollout} --force REASON` goes on in spite of it"
_RESUME_OR = (
    "it goes on by itself when later answers or looks let the gate pass; `modelwave rollout resume "
    "{rollout}` orders the devices anew that it waits for, with --accept REASON it overrules the "
    "gate; " + _REVERT_OR
)

_DECIDE = (
    "a person decides: `modelwave rollout resume {rollout} --accept REASON` goes on to the next "
    "stage; " + _REVERT_OR
)

_UPDATE = (
    "{next} by itself when these devices report that they can read it: update their agents, or "
    "`modelwave device forget` those that are gone; {end}"
)

_NOBODY = (
    "{next} by itself when one of them reports again; else " + _END + ", and the plan of the next "
    "one may name other devices"
)

_APPROVE = "`modelwave rollout approve {rollout}` lets it open; {end}"

_UNSENT = "its soak and deadline begin when the broker has acknowledged its orders"

_HOLDS = "this holds it by itself at the service's next tick"
_ANEW = "the service orders these devices anew at its next ticks"
SIGNS = (OPEN, REVERT, REORDER)
_OPENING = ("part due", "opening", "paused, opening")

# Situation: (verb, what happens next).
TABLE = {
    # Takes the place of each situation below whose verb is one of SIGNS:
    "numbers in doubt": (
        WAIT,
        "no order is signed until `modelwave recover` has compared its numbers with the devices'",
    ),
    "key away": (WAIT, "it goes on by itself when the key is back"),
    "clock in doubt": (
        WAIT,
        "no order is signed until the clock is right again: set it, or, if it is right, "
        "`modelwave clock accept REASON`",
    ),
    "to be ordered back anew": (REORDER, _ANEW),
    "returned": (FINISH, "it ends as REVERTED"),
    "returning": (WAIT, "it ends when all devices have answered, in {deadline} at the latest"),
    "returning, unsent": (WAIT, _UNSENT),
    "revert asked": (REVERT, "the service orders its devices back at its next tick"),
    "failed": (REVERT, "its devices are ordered back"),
    "failed, to be held": (HOLD, _HOLDS),
    "failed, held": (WAIT, _REVERT_OR + _FORCE),
    "to be ordered anew": (REORDER, _ANEW),
    "paused": (
        WAIT,
        "no stage opens until `modelwave rollout resume {rollout}`; opened stages go on",
    ),
    "paused, opening": (WAIT, "no further part opens until `modelwave rollout resume {rollout}`"),
    "held, passed since": (CONTINUE, "it continues by itself at the service's next tick"),
    "held": (WAIT, _RESUME_OR),
    "held for a person": (WAIT, _DECIDE),
    "unapproved": (ASK, "the service notes at its next tick that it waits; " + _APPROVE),
    "unapproved, asked": (WAIT, _APPROVE),
    "starting": (
        WAIT,
        "{next} at {start}; `modelwave rollout promote {rollout}` begins it at once, " + _END,
    ),
    "nobody": (HOLD, _HOLDS),
    "nobody, held": (WAIT, _NOBODY),
    "unreadable": (HOLD, _HOLDS),
    "unreadable, held": (WAIT, _UPDATE),
    "outside": (WAIT, "{next} by itself then; {end}"),
    "new": (OPEN, "{next}"),
    "part due": (OPEN, "its next part opens"),
    "opening": (WAIT, "its next part opens in {part}"),
    "inconclusive": (HOLD, _HOLDS),
    "pending": (
        WAIT,
        "the gate decides when enough devices answered, in {deadline} at the latest",
    ),
    "pending, unsent": (WAIT, _UNSENT),
    "soaking, unsent": (WAIT, _UNSENT),
    "answered": (SOAK, "its soak begins"),
    "soaking": (WAIT, "{next} in {soak}{approved}"),
    "looking": (WAIT, "its last look at what its devices measured comes in {look}"),
    "last passed": (FINISH, "it ends as FINISHED"),
    "passed": (OPEN, "{next}"),
}


@dataclass(frozen=True)
class StageFacts:
    """The facts about an opened stage. Times are in seconds of the rollout clock; None: the broker
    has not acknowledged its orders."""

    soaking_since: float | None
    waiting_since: float | None  # start of its deadline, anew after a resume
    counts: Counts
    failed: str = ""  # the reason of a FAIL decided earlier
    accepted: str = ""  # the operator's reason for overruling the gate
    # What its looks say (course.py), and when the one comes that it waits for; None: for none.
    looked: Gate | None = None
    look_at: float | None = None
    rest: Rest | None = None  # what further parts of it open
    promoted: bool = False  # by the operator: it does not soak
    # How many had rolled back when the operator overruled its gate: they do not count again.
    overruled: int = 0


@dataclass(frozen=True)
class Facts:
    """The facts about a rollout that a decision needs."""

    stages: tuple[StageFacts, ...] = ()
    paused: bool = False
    held: bool = False  # by a gate
    held_by_format: bool = False
    held_by_nobody: bool = False
    # The devices that the next stage names, if none of them is known any more.
    unknown: tuple[str, ...] = ()
    approval: Approval | None = None  # that the next stage lacks
    start: Start | None = None  # that it waits for
    # A text for each of the first known devices that cannot read the order or manifest of the next
    # stage, and how many more there are.
    unreadable: tuple[str, ...] = ()
    more_unreadable: int = 0
    closed: str = ""  # why the next stage cannot open now, by the maintenance windows
    reordering: int = 0  # how many devices are to be ordered anew
    revert_asked: str | None = None  # the operator's reason
    back: Counts | None = None  # the answers to the orders to revert, if they were sent
    back_since: float | None = None  # start of their deadline, as `waiting_since` of a stage
    # Why the controller must not sign now: its clock, or the numbers of its orders; why it cannot.
    doubt: str = ""
    numbers_doubt: str = ""
    key_away: str = ""
    rollout: int = 0  # its number, for the commands in what happens next


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
    """Returns the decision by the rules above. `now` is in seconds of the rollout clock."""
    found = _unless_in_doubt(_situation(plan, facts, now), facts)
    verb, then = TABLE[found.name]
    return Decision(
        verb, found.reason, then.format(**_times(plan, facts, now)), found.stage, found.gate
    )


def label(plan: Plan, number: int) -> str:
    return f"stage {number + 1} ({plan.stages[number].whom})"


def overdue(stage: Stage, waiting_since: float | None, now: float) -> bool:
    """Returns whether the stage's deadline has passed, which began at `waiting_since`."""
    return _passed(waiting_since, stage.deadline_seconds, now)


def stage_gate(plan: Plan, facts: Facts, number: int, now: float) -> Gate:
    """Returns the gate of stage `number` at `now`; an earlier FAIL and an overruling go first. The
    evidence of roll-backs, which is about all opened devices, belongs to the newest stage."""
    stage, found = plan.stages[number], facts.stages[number]
    if found.failed:
        return Gate(FAIL, found.failed)
    newest = number == len(facts.stages) - 1
    opened = answers(plan, facts, stage.shadow) if newest else gates.NOBODY
    alike = [one for other, one in _both(plan, facts) if other.shadow == stage.shadow]
    known = sum(one.overruled for one in alike) if newest else 0
    judged = gates.without_overruled(stage, found.counts, found.overruled, opened, known)
    gate = gates.judge_stage(judged, found.counts, overdue(stage, found.waiting_since, now), opened)
    if found.rest and gate.verdict != FAIL:
        whole = replace(found.counts, devices=found.counts.devices + found.rest.devices)
        gate = gates.judge_stage(judged, whole, False, opened)
    gate = _with_looks(gate, found.looked)
    if found.accepted and gate.verdict != FAIL:
        return Gate(PASS, f"accepted by the operator: {found.accepted}")
    return gate


def answers(plan: Plan, facts: Facts, shadow: bool = False) -> Counts:
    """Returns the answers of all opened shadow stages, or of all others. A device may be in one of
    each kind."""
    found = (its.counts for stage, its in _both(plan, facts) if stage.shadow == shadow)
    return gates.total(found)


def _both(plan: Plan, facts: Facts) -> Iterator[tuple[Stage, StageFacts]]:
    """Yields the opened stages with their facts."""
    return zip(plan.stages, facts.stages, strict=False)


def _with_looks(gate: Gate, looked: Gate | None) -> Gate:
    """Returns the gate of the devices' answers, with what the looks say: a FAIL at once, everything
    else when the answers pass."""
    if looked is None or gate.verdict == FAIL:
        return gate
    if looked.verdict == FAIL:
        return looked
    if gate.verdict == PASS and looked.verdict in (INCONCLUSIVE, verdicts.HOLD):
        return Gate(INCONCLUSIVE, looked.reason)
    return gate._replace(reason=f"{gate.reason}; {looked.reason}")


def _situation(plan: Plan, facts: Facts, now: float) -> _Situation:
    anew = f"{plural(facts.reordering, 'device')} to be ordered anew"
    if facts.back is not None and facts.reordering:
        return _Situation("to be ordered back anew", anew)
    if facts.back is not None:
        reason = f"on the way back {gates.tally(facts.back, False)}"
        return _Situation(_way_back(plan, facts, facts.back, now), reason)
    if facts.revert_asked is not None:
        return _Situation("revert asked", facts.revert_asked)
    judged = [stage_gate(plan, facts, number, now) for number in range(len(facts.stages))]
    for number, gate in enumerate(judged):
        if gate.verdict == FAIL:
            name = "failed, held" if facts.held else "failed, to be held"
            name = "failed" if plan.on_fail == "revert" else name
            return _Situation(name, f"{label(plan, number)}: {gate.reason}", number, gate)
    if facts.reordering:
        return _Situation("to be ordered anew", anew)
    if not judged:
        name = "paused" if facts.paused else "new"
        return _unless_it_cannot_open(_Situation(name, "no stage has opened yet"), plan, facts)
    last = len(judged) - 1
    gate = judged[last]
    reason = f"{label(plan, last)}: {gate.reason}"
    name = _newest(plan, facts, gate, now)
    if name == "answered":
        return _Situation(name, reason)
    if name in _OPENING:
        reason = f"{label(plan, last)}: {_opening(plan, facts)}{gate.reason}"
        return _unless_it_cannot_open(_Situation(name, reason), plan, facts)
    if name == "last passed":
        reason = _with_all(reason, plan, facts)
    return _unless_it_cannot_open(_Situation(name, reason, last, gate), plan, facts)


def _opening(plan: Plan, facts: Facts) -> str:
    """Returns how far the newest stage is opened, for one that opens in parts."""
    newest, rate = facts.stages[-1], plan.rate_of(len(facts.stages) - 1)
    if newest.rest is None or rate is None:
        return ""
    return f"{pace.told(newest.counts.devices, newest.rest, rate)}; "


def _with_all(reason: str, plan: Plan, facts: Facts) -> str:
    """Returns the reason of the last stage, with the answers of all stages: the last one alone may
    have no device."""
    if sum(not stage.shadow for stage, _ in _both(plan, facts)) == 1:
        return reason
    counts = answers(plan, facts)
    return f"{reason}; in all stages {gates.tally(counts, False)}"


def _way_back(plan: Plan, facts: Facts, back: Counts, now: float) -> str:
    if not back.pending or _passed(facts.back_since, _deadline_seconds(plan, facts), now):
        return "returned"
    return "returning, unsent" if facts.back_since is None else "returning"


def _unless_in_doubt(found: _Situation, facts: Facts) -> _Situation:
    """Returns `found`, or the situation of the doubt in place of one that would sign an order."""
    doubt = facts.doubt or facts.key_away or facts.numbers_doubt
    if not doubt or TABLE[found.name][0] not in SIGNS:
        return found
    name = "clock in doubt" if facts.doubt else "numbers in doubt"
    if facts.key_away and not facts.doubt:
        name = "key away"
    return found._replace(name=name, reason=f"{doubt}; {found.reason}")


def _unless_it_cannot_open(found: _Situation, plan: Plan, facts: Facts) -> _Situation:
    """Returns `found`, or the situation of what is in the way in place of one that would open a
    stage, or a part of one."""
    if found.name not in ("new", "passed", "part due"):
        return found
    if facts.approval is not None and found.name != "part due":
        return _unapproved(found, label(plan, len(facts.stages)), facts.approval)
    doubt = f"{facts.doubt}; " if facts.doubt else ""
    if facts.start is not None and found.name != "part due":
        return found._replace(name="starting", reason=f"{doubt}it waits for its start time")
    if not (facts.unknown or facts.unreadable or facts.closed):
        return found
    number = len(facts.stages) - (found.name == "part due")
    if not (facts.unknown or facts.unreadable):
        reason = f"{doubt}{label(plan, number)}: {facts.closed}"
        return _Situation("outside", reason, found.stage, found.gate)
    if facts.unknown:
        name, held = "nobody", facts.held_by_nobody
        why = f"none of its devices is known any more: {listed(facts.unknown)}"
    else:
        name, held = "unreadable", facts.held_by_format
        why = formats.told(formats.Unreadable(facts.unreadable, facts.more_unreadable))
    reason = f"{label(plan, number)}: {why}"
    return _Situation(f"{name}, held" if held else name, reason, found.stage, found.gate)


def _unapproved(found: _Situation, stage: str, lacking: Approval) -> _Situation:
    since = "" if lacking.asked is None else f" since {moment(lacking.asked)}"
    check = f" ({lacking.check})" if lacking.check else ""
    name = "unapproved" if lacking.asked is None else "unapproved, asked"
    reason = f"{stage} waits for approval{_by(lacking)}{since}{check}; {found.reason}"
    return found._replace(name=name, reason=reason)


def _by(lacking: Approval) -> str:
    return f" by another than {lacking.not_by}" if lacking.not_by else ""


def _newest(plan: Plan, facts: Facts, gate: Gate, now: float) -> str:
    """Returns the situation that follows from the newest stage and its gate."""
    newest = facts.stages[-1]
    if facts.paused:
        return "paused, opening" if newest.rest else "paused"
    if facts.held:
        passed = gate.verdict == PASS or (newest.rest and gate.verdict == PENDING)
        return "held, passed since" if passed else _held(newest)
    if gate.verdict == INCONCLUSIVE:
        return "inconclusive"
    if newest.rest:
        return "part due" if now >= newest.rest.due else "opening"
    if gate.verdict == PENDING:
        return "pending, unsent" if newest.waiting_since is None else "pending"
    if newest.counts.devices and not newest.promoted:
        if newest.soaking_since is None:
            sent = newest.waiting_since is not None
            waits = plan.waits_for_windows(len(facts.stages) - 1)
            return "answered" if sent and waits else "soaking, unsent"
        if soak_left(plan, facts, now) > 0:
            return "soaking"
        if newest.look_at is not None and not newest.accepted:
            return "looking"
    return "last passed" if len(facts.stages) == len(plan.stages) else "passed"


def _held(newest: StageFacts) -> str:
    """A HOLD of what devices measured stands, whatever comes later."""
    by_a_look = newest.looked is not None and newest.looked.verdict == verdicts.HOLD
    return "held for a person" if by_a_look else "held"


def soak_left(plan: Plan, facts: Facts, now: float) -> float:
    """Returns the seconds that the newest stage has still to soak; 0 before its soak begins."""
    newest = facts.stages[-1]
    if not newest.counts.devices or newest.soaking_since is None:
        return 0.0
    return newest.soaking_since + plan.stages[len(facts.stages) - 1].soak_seconds - now


def _passed(since: float | None, seconds: float, now: float) -> bool:
    return since is not None and now >= since + seconds


def _deadline_seconds(plan: Plan, facts: Facts) -> int:
    return plan.stages[max(0, len(facts.stages) - 1)].deadline_seconds


def _times(plan: Plan, facts: Facts, now: float) -> dict[str, str]:
    """Returns the values for the placeholders in TABLE's texts."""
    number = len(facts.stages)
    last = number == len(plan.stages)
    found = {
        "next": "the rollout is finished" if last else f"{label(plan, number)} opens",
        "rollout": str(facts.rollout),
    }
    found["approved"] = "" if facts.approval is None else f", after approval{_by(facts.approval)}"
    # Without an opened stage there is nothing to revert.
    found["end"] = (_REVERT_OR if number else _END).format(**found)
    if facts.start is not None:
        found["start"] = f"{moment(facts.start.at)}, in {span(facts.start.left)}"
    # A way back without an opened stage is that of what an aborted rollout left.
    if facts.stages or facts.back is not None:
        since = facts.stages[-1].waiting_since if facts.back is None else facts.back_since
        since = now if since is None else min(since, now)  # a clock that is shown may be behind
        found["deadline"] = span(since + _deadline_seconds(plan, facts) - now)
    if facts.stages:
        newest, soak = facts.stages[-1], plan.stages[number - 1].soak_seconds
        found["soak"] = span(min(soak_left(plan, facts, now), soak))
        if newest.rest:
            found |= {"next": "its next part opens", "part": span(newest.rest.due - now)}
        if newest.look_at is not None:
            found["look"] = span(newest.look_at - now)
    return found
