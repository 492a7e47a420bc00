"""All calls."""

from modelwave_controller.api import (
    alerts,
    devices,
    enrolment,
    fleet,
    releases,
    rollouts,
    starts,
    targets,
    tokens,
    upkeep,
)
from modelwave_controller.api.call import Call

CALLS: tuple[Call, ...] = (  # type: ignore[type-arg]
    *rollouts.CALLS,
    *starts.CALLS,
    *fleet.CALLS,
    *devices.CALLS,
    *releases.CALLS,
    *targets.CALLS,
    *enrolment.CALLS,
    *alerts.CALLS,
    *tokens.CALLS,
    *upkeep.CALLS,
)
