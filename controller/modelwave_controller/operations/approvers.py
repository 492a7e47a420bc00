"""Says who may approve a stage, where the plan asks for another than who started the rollout."""

from sqlalchemy import Connection

from modelwave_controller.errors import ForbiddenError, OperatorError
from modelwave_controller.people import tokens
from modelwave_controller.people.roles import APPROVE
from modelwave_controller.phrases import listed
from modelwave_controller.rollout import waiting
from modelwave_controller.rollout.decide import label
from modelwave_controller.rollout.plan import Plan
from modelwave_controller.rollout.state import Rollout


def require_may(
    connection: Connection, rollout: Rollout, stage: int, actor: str, now: float
) -> None:
    """Raises ForbiddenError if the actor may not approve `stage`, from 0. `actor` is as the log has
    it, `now` in Unix seconds."""
    plan, starter = rollout.created.plan, rollout.created.actor
    if not plan.stages[stage].asks_another or waiting.is_another(starter, actor):
        return
    able = tokens.those_who_may(connection, APPROVE, now)
    others = [name for name in able if waiting.is_another(starter, name)]
    if others:
        may = f"{listed(others)} may give it"
    else:
        may = (
            "another user of this machine who may write to this home may give it, or somebody with "
            "an access token: `modelwave token create NAME --role approver`"
        )
    raise ForbiddenError(
        f"rollout {rollout.id}: {label(plan, stage)} asks for the approval of another than "
        f"{starter}, who started it; {may}"
    )


def require_starter(plan: Plan, actor: str) -> None:
    """Raises OperatorError if the plan asks for another than the actor, who has no name."""
    if not actor and any(stage.asks_another for stage in plan.stages):
        raise OperatorError(
            'approval_by: "another" than who starts the rollout needs a name: none was given'
        )
