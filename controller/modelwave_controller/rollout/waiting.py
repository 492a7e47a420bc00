"""Says what keeps a rollout's next stage from opening but its gates. Pure.

A plan may ask for an operator's approval before a stage. The stage does not open until somebody has
given it; it may be given before the rollout comes to the stage. The service notes in the log since
when the stage waits for it.
"""

from typing import NamedTuple

from modelwave_controller.rollout.state import Rollout


class Approval(NamedTuple):
    """An approval that is lacking. `asked` is since when it waits, in Unix seconds; None: the
    service has not noted it yet. `check` is what the plan says is to be checked, or ""."""

    asked: float | None
    check: str


def approval(rollout: Rollout) -> Approval | None:
    """Returns the approval that the rollout's next stage lacks."""
    number = len(rollout.stages)
    if number in rollout.approved or number not in approvals(rollout):
        return None
    given = rollout.created.plan.stages[number].approval
    return Approval(rollout.asked.get(number), given if isinstance(given, str) else "")


def approvals(rollout: Rollout) -> list[int]:
    """Returns the stages, from 0, before which the plan asks for approval."""
    return [n for n, stage in enumerate(rollout.created.plan.stages) if stage.approval]
