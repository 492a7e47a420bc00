"""Makes alerts of events: what happened in one word, why, and what comes next. Pure.

    on               event                                  status
    held             Held                                   HELD
    gate_failed      Gated FAIL                             FAIL
    reverted         Reverted                               REVERTED
    finished         Finished                               FINISHED, REVERT OVER
    approval_wanted  ApprovalAsked                          APPROVAL WANTED
    in_trouble       InTrouble, TroubleOver                 IN TROUBLE, TROUBLE OVER

A gate that fails is mostly followed by Held or Reverted at once, which says why. Then the one alert
tells both, if it is to tell the second at all.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from modelwave_controller.judge.verdicts import FAIL
from modelwave_controller.phrases import offline_gateways, plural
from modelwave_controller.rollout import state
from modelwave_controller.rollout.events import (
    ApprovalAsked,
    Event,
    Finished,
    Gated,
    Held,
    InTrouble,
    Reverted,
    TroubleOver,
)
from modelwave_controller.rollout.state import Rollout, State, fold

HELD, GATE_FAILED, REVERTED, FINISHED = "held", "gate_failed", "reverted", "finished"
APPROVAL_WANTED, IN_TROUBLE = "approval_wanted", "in_trouble"
KINDS = ("held", "gated", "reverted", "finished", "approval_asked", "in_trouble", "trouble_over")


class Alert(NamedTuple):
    """`event` is the id of its event, `at` in Unix seconds; `stage` counts from 1, None: it belongs
    to none; `release` is its number and version, or ""."""

    event: int
    at: float
    on: str
    status: str
    rollout: int
    model: str
    release: str
    stage: int | None
    stages: int
    why: str
    next: str


class _Said(NamedTuple):
    on: str
    status: str
    stage: int | None
    why: str
    next: str


def subject(event: Event) -> str:
    """Returns what it tells, as settings name it; "": it is told to nobody."""
    body = event.body
    match body:
        case Gated():
            return GATE_FAILED if body.verdict == FAIL else ""
        case Held():
            return HELD
        case Reverted():
            return REVERTED
        case Finished():
            return FINISHED
        case ApprovalAsked():
            return APPROVAL_WANTED
        case InTrouble() | TroubleOver():
            return IN_TROUBLE
    return ""


def wanted(events: Sequence[Event], on: Collection[str]) -> list[Event]:
    """Returns those of the events that an alert on these things tells."""
    told = [event for event in events if subject(event) in on]
    acted_on = {(event.rollout, event.at) for event in told if subject(event) in (HELD, REVERTED)}
    return [
        event
        for event in told
        if subject(event) != GATE_FAILED or (event.rollout, event.at) not in acted_on
    ]


def alerts(
    events: Sequence[Event], history: Callable[[int, int], Iterable[Event]]
) -> Iterator[Alert]:
    """Yields an alert for each of these events that were wanted. `history` returns the events of a
    rollout up to one of them, without the devices' answers."""
    made: dict[int, Alert] = {}
    by_rollout: dict[int, list[Event]] = {}
    for event in events:
        by_rollout.setdefault(event.rollout, []).append(event)
    for number, its in by_rollout.items():
        found, told = State(), {event.id for event in its}
        for event in history(number, its[-1].id):
            fold([event], found)
            if event.id in told and number in found.rollouts:
                made[event.id] = _alert(event, found.rollouts[number])
    yield from (made[event.id] for event in events if event.id in made)


def _alert(event: Event, rollout: Rollout) -> Alert:
    said, release = _said(event, rollout), rollout.release
    return Alert(
        event=event.id,
        at=event.at,
        on=said.on,
        status=said.status,
        rollout=event.rollout,
        model=rollout.model,
        release=f"{release.release} ({release.version})" if release else "",
        stage=None if said.stage is None else said.stage + 1,
        stages=len(rollout.created.plan.stages),
        why=said.why,
        next=said.next,
    )


def _said(event: Event, rollout: Rollout) -> _Said:
    body, number = event.body, event.rollout
    newest = len(rollout.stages) - 1 if rollout.stages else None
    match body:
        case Held():
            return _Said(HELD, "HELD", newest, body.reason, _after_hold(body, rollout))
        case Gated():
            then = "takes the release back, or holds the rollout, as its plan says"
            return _Said(GATE_FAILED, "FAIL", body.stage, body.reason, f"the service {then}")
        case Reverted():
            back = "devices return to the release before"
            follow = f"{back}: `modelwave rollout watch {number}` follows them"
            return _Said(REVERTED, "REVERTED", newest, body.reason, follow)
        case Finished():
            status = "REVERT OVER" if rollout.status == state.REVERTED else "FINISHED"
            return _Said(FINISHED, status, newest, body.reason, "nothing: it is over")
        case ApprovalAsked():
            return _approval(body, rollout)
        case InTrouble(devices=devices, of=of, back=back, gateways=gateways):
            where = " on the way back" if back else ""
            why = (
                f"{devices} of {plural(of, 'device')}{where} rolled back, failed, refused or silent"
                f"{offline_gateways(gateways)}"
            )
            see = "`modelwave device list --trouble` shows them; its gates decide meanwhile"
            return _Said(IN_TROUBLE, "IN TROUBLE", newest, why, see)
        case TroubleOver(devices=devices, of=of):
            why = f"{devices} of {plural(of, 'device')} left"
            return _Said(IN_TROUBLE, "TROUBLE OVER", newest, why, "nothing")
    raise AssertionError(f"{body.kind} is no alert")


def _after_hold(held: Held, rollout: Rollout) -> str:
    number = rollout.id
    command = f"`modelwave rollout {{}} {number}`".format
    if any(state.failed(stage) for stage in rollout.stages):
        return (
            f"a person decides: {command('revert')} takes the release back, {command('abort')} "
            "leaves every device as it is"
        )
    if held.by == "gate":
        return (
            f"a person decides: {command('resume')} waits for the gate again, with --accept REASON "
            f"goes on all the same, {command('revert')} takes the release back"
        )
    ends = "they can read it" if held.by == "format" else "one of them reports again"
    return f"it goes on by itself when {ends}; `modelwave rollout status {number}` shows them"


def _approval(body: ApprovalAsked, rollout: Rollout) -> _Said:
    stages = rollout.created.plan.stages
    stage = stages[body.stage] if body.stage < len(stages) else None
    check = stage.approval if stage and isinstance(stage.approval, str) else ""
    another = f" by another than {rollout.created.actor}" if stage and stage.asks_another else ""
    why = f"stage {body.stage + 1} waits for approval{another}{f': {check}' if check else ''}"
    approve = f"`modelwave rollout approve {rollout.id}` opens it"
    return _Said(APPROVAL_WANTED, "APPROVAL WANTED", body.stage, why, approve)
