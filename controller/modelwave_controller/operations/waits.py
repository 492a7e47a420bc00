"""What a rollout waits for that an operator can give, for programs: the status' JSON has it."""

from dataclasses import dataclass

from modelwave_controller.rollout import state, waiting
from modelwave_controller.rollout.state import Rollout


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


def waits_for(rollout: Rollout, wall: float) -> Waits | None:
    """Returns it for a wall clock that shows `wall`, Unix seconds."""
    if rollout.status not in (state.NEW, state.RUNNING):
        return None
    number, command = len(rollout.stages) + 1, f"modelwave rollout {{}} {rollout.id}".format
    lacking = waiting.approval(rollout)
    if lacking is not None:
        since, check, not_by = lacking
        if since is None:  # the service notes it at its next tick
            return None
        return Waits("approval", number, since, None, check, command("approve"), not_by)
    start = waiting.start(rollout, wall)
    if start is None:
        return None
    return Waits("start", number, rollout.created_at, start.at, "", command("promote"))
