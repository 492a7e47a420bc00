"""All calls."""

from modelwave_controller.api import alerts, devices, fleet, releases, rollouts, starts, targets
from modelwave_controller.api.call import Call

CALLS: tuple[Call, ...] = (  # type: ignore[type-arg]
    *rollouts.CALLS,
    *starts.CALLS,
    *fleet.CALLS,
    *devices.CALLS,
    *releases.CALLS,
    *targets.CALLS,
    *alerts.CALLS,
)
