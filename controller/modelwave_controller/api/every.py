"""All calls."""

from modelwave_controller.api import (
    alerts,
    devices,
    enrolment,
    fits,
    fleet,
    models,
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
    *models.CALLS,
    *targets.CALLS,
    *fits.CALLS,
    *enrolment.CALLS,
    *alerts.CALLS,
    *tokens.CALLS,
    *upkeep.CALLS,
)
