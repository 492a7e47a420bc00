"""What a rollout waits for that an operator can give, for programs: the status' JSON has it."""

from modelwave_controller.results.rollouts import Waits
from modelwave_controller.rollout import state, waiting
from modelwave_controller.rollout.state import Rollout


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
