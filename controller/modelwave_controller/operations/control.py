"""Lets an operator open what a rollout waits to open: promotes a stage.

`store`, `rollout`, `now` and `actor` are as in rollouts.py; refusals raise OperatorError.
"""

from sqlalchemy import Connection

from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import ways
from modelwave_controller.operations.rollouts import find, nothing_to, writing
from modelwave_controller.rollout import promotion, state
from modelwave_controller.rollout.decide import label
from modelwave_controller.rollout.events import Promoted, by
from modelwave_controller.rollout.facts import facts
from modelwave_controller.rollout.state import Rollout
from modelwave_controller.storage import clock, devices, log
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
    after it do not soak either. `force`: also if its gate has not passed, with the reason. Returns
    the rollout's number, and what was skipped."""
    with writing(store) as (connection, found):
        chosen = find(found, rollout)
        act = _promoted(connection, chosen, reason, force, full)
        log.append(connection, chosen.id, now, [by(actor, act)])
        return chosen.id, act.skipped


def _promoted(
    connection: Connection, rollout: Rollout, reason: str, force: bool, full: bool
) -> Promoted:
    _require_promotable(rollout)
    so_far = facts(rollout, devices.known(connection, rollout.model))
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
            f"there is nothing to skip; `modelwave rollout watch {rollout.id}` follows it"
        )
    return Promoted(
        stage=last,
        skipped=skips.told or "nothing of this stage",
        reason=reason,
        full=full,
        overruled=promotion.evidence(rollout, so_far) if skips.gates else [],
    )


def _require_promotable(rollout: Rollout) -> None:
    ways.require_understood(rollout, rollout.not_understood)
    if rollout.status not in state.ACTIVE or rollout.revert_asked is not None:
        raise nothing_to("promote", rollout)
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
    if not rollout.stages:
        raise OperatorError(
            f"rollout {rollout.id} has opened no stage yet: there is nothing to skip; "
            f"`modelwave rollout watch {rollout.id}` follows it"
        )
