"""What a rollout waits for that an operator can give, for programs: the status' JSON has it."""

from dataclasses import dataclass

from modelwave_controller.rollout import state, waiting
from modelwave_controller.rollout.state import Rollout


@dataclass(frozen=True)
class Waits:
    """It waits for `what`, "approval", before `stage`, from 1, `since` a moment in Unix seconds.
    `check` is what the plan says is to be checked; `command` gives it."""

    what: str
    stage: int
    since: float
    check: str
    command: str


def waits_for(rollout: Rollout) -> Waits | None:
    if rollout.status not in (state.NEW, state.RUNNING):
        return None
    lacking = waiting.approval(rollout)
    if lacking is None or lacking.asked is None:
        return None
    number = len(rollout.stages) + 1
    command = f"modelwave rollout approve {rollout.id}"
    return Waits("approval", number, lacking.asked, lacking.check, command)
