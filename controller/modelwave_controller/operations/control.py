"""Lets an operator open what a rollout waits to open: promotes a stage, or approves one.

`store`, `rollout`, `now` and `actor` are as in rollouts.py; refusals raise OperatorError.
"""

from sqlalchemy import Connection

from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import approvers, ways
from modelwave_controller.operations.rollouts import find, nothing_to, writing
from modelwave_controller.phrases import span
from modelwave_controller.rollout import promotion, state, waiting
from modelwave_controller.rollout.decide import label
from modelwave_controller.rollout.events import Approved, Promoted, StartedNow, by
from modelwave_controller.rollout.facts import facts
from modelwave_controller.rollout.state import Rollout
from modelwave_controller.storage import clock, log
from modelwave_controller.storage.counted import Counted
from modelwave_controller.storage.store import Store


def promote(
    store: Store,
    rollout: str | None,
    reason: str,
    now: float,
    actor: str = "",
    force: bool = False,
    full: bool = False,
) -> tuple[int, str]:
    """Ends the soak of the rollout's newest stage, so that the next one opens; `full`: the stages
    after it do not soak either. Of one that waits for its start time it ends this wait. `force`:
    also if its gate has not passed, with the reason. Returns the rollout's number, and what was
    skipped."""
    with writing(store) as (connection, found):
        chosen = find(found, rollout)
        _require_promotable(chosen)
        start = waiting.start(chosen, now)
        if start is not None and not full:
            log.append(connection, chosen.id, now, [by(actor, StartedNow(reason=reason))])
            return chosen.id, f"{span(start.left)} until its start time"
        act = _promoted(connection, chosen, reason, force, full)
        log.append(connection, chosen.id, now, [by(actor, act)])
        return chosen.id, act.skipped


def approve(
    store: Store,
    rollout: str | None,
    stage: int | None,
    reason: str,
    now: float,
    actor: str = "",
) -> int:
    """Approves a stage, from 1 (None: the next one), before which the plan asks for approval; also
    ahead of time. Raises ForbiddenError if the plan asks that another than the actor gives it.
    Returns the rollout's number."""
    with writing(store) as (connection, found):
        chosen = find(found, rollout)
        number = _to_approve(chosen, stage)
        act = by(actor, Approved(stage=number, reason=reason))
        approvers.require_may(connection, chosen, number, act.actor, now)
        log.append(connection, chosen.id, now, [act])
        return chosen.id


def _to_approve(rollout: Rollout, stage: int | None) -> int:
    """Returns the stage, from 0, that can be approved. Raises OperatorError if it cannot."""
    _require_active(rollout, "approve")
    opened = len(rollout.stages)
    number = opened if stage is None else stage - 1
    wanted = [n for n in waiting.approvals(rollout) if n >= opened and n not in rollout.approved]
    if number in wanted:
        return number
    follow = f"`modelwave rollout watch {rollout.id}` follows it"
    others = " or ".join(
        f"`modelwave rollout approve {rollout.id} --stage {n + 1}`" for n in wanted
    )
    then = f"{others} approves one that does" if others else follow
    stages = len(rollout.created.plan.stages)
    if not 0 <= number < stages:
        raise OperatorError(
            f"--stage: rollout {rollout.id} has no stage {number + 1}, of {stages}; {then}"
        )
    where = f"rollout {rollout.id}: {label(rollout.created.plan, number)}"
    if number < opened:
        raise OperatorError(f"{where} has opened already; {then}")
    if given := rollout.approved.get(number):
        raise OperatorError(f"{where} was approved by {given.actor or 'the operator'}; {follow}")
    raise OperatorError(f"{where} waits for no approval; {then}")


def _promoted(
    connection: Connection, rollout: Rollout, reason: str, force: bool, full: bool
) -> Promoted:
    if not rollout.stages:
        raise OperatorError(
            f"rollout {rollout.id} has opened no stage yet: there is nothing to skip; "
            f"{_leads_on(rollout)}"
        )
    so_far = facts(rollout, Counted(connection, rollout.model))
    skips = promotion.skipped(rollout, so_far, clock.stored(connection).seconds)
    last = len(rollout.stages) - 1
    if skips.gates and not force:
        option = "--full --force" if full else "--force"
        raise OperatorError(
            f"rollout {rollout.id} has not passed {' and '.join(skips.gates)}; `modelwave rollout "
            f"promote {rollout.id} {option} REASON` goes on in spite of that"
        )
    if not (skips.told or full):
        raise OperatorError(
            f"rollout {rollout.id}: {label(rollout.created.plan, last)} has passed and soaked: "
            f"there is nothing to skip; {_leads_on(rollout)}"
        )
    return Promoted(
        stage=last,
        skipped=skips.told or "nothing of this stage",
        reason=reason,
        full=full,
        overruled=promotion.evidence(rollout, so_far) if skips.gates else [],
    )


def _require_active(rollout: Rollout, verb: str) -> None:
    ways.require_understood(rollout, rollout.not_understood)
    if rollout.status not in state.ACTIVE or rollout.revert_asked is not None:
        raise nothing_to(verb, rollout)


def _require_promotable(rollout: Rollout) -> None:
    _require_active(rollout, "promote")
    if rollout.status == state.PAUSED:
        raise OperatorError(
            f"rollout {rollout.id} is PAUSED: `modelwave rollout resume {rollout.id}` lets it go "
            "on; then promote it"
        )
    if rollout.status == state.HELD and rollout.held_by != "gate":
        raise OperatorError(
            f"rollout {rollout.id} is HELD: its next stage cannot open yet, which no promotion "
            f"changes: `modelwave rollout status {rollout.id}` says why"
        )


def _leads_on(rollout: Rollout) -> str:
    if waiting.approval(rollout) is not None:
        return f"`modelwave rollout approve {rollout.id}` gives the approval that it waits for"
    if rollout.start_at is not None and not rollout.stages:
        return f"`modelwave rollout promote {rollout.id}` ends the wait for its start time"
    return f"`modelwave rollout watch {rollout.id}` follows it"
