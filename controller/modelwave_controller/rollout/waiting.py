"""Says what keeps a rollout's next stage from opening but its gates. Pure.

A rollout may have a start time, before which its first stage does not open. It is a time of the
wall clock, as people mean one; a clock in doubt (clock.py) neither reaches it nor opens a stage.

A plan may ask for an operator's approval before a stage. The stage does not open until somebody has
given it; it may be given before the rollout comes to the stage. The service notes in the log since
when the stage waits for it.

The plan may ask that it be given by another than who started the rollout. Then it lapses when
somebody overrules a gate after it was given (state.py): who gave it had seen another rollout.
"""

from typing import NamedTuple

from modelwave_controller.rollout.events import LOCAL
from modelwave_controller.rollout.state import Rollout


class Approval(NamedTuple):
    """An approval that is lacking. `asked` is since when it waits, in Unix seconds; None: the
    service has not noted it yet. `check` is what the plan says is to be checked, or "". `not_by` is
    who started the rollout, if another has to give it, else ""."""

    asked: float | None
    check: str
    not_by: str = ""


class Start(NamedTuple):
    """A start that is still to come: at Unix seconds `at`, in `left` seconds."""

    at: float
    left: float


def start(rollout: Rollout, wall: float) -> Start | None:
    """Returns the start that the rollout waits for, when the wall clock shows `wall`, Unix
    seconds."""
    at = rollout.start_at
    if rollout.stages or at is None or wall >= at:
        return None
    return Start(at, at - wall)


def approval(rollout: Rollout) -> Approval | None:
    """Returns the approval that the rollout's next stage lacks."""
    number = len(rollout.stages)
    if number in rollout.approved or number not in approvals(rollout):
        return None
    stage = rollout.created.plan.stages[number]
    check = stage.approval if isinstance(stage.approval, str) else ""
    not_by = rollout.created.actor if stage.asks_another else ""
    return Approval(rollout.asked.get(number), check, not_by)


def approvals(rollout: Rollout) -> list[int]:
    """Returns the stages, from 0, before which the plan asks for approval."""
    return [n for n, stage in enumerate(rollout.created.plan.stages) if stage.approval]


def is_another(starter: str, actor: str) -> bool:
    """Returns whether the actor is surely another person than who started the rollout, by their
    names in the log. LOCAL and whoever works on the home, user@host, may be one: both are whoever
    has the home."""
    names = {starter, actor}
    if len(names) == 1 or "" in names:
        return False
    return LOCAL not in names or not any("@" in name for name in names)
