"""All calls."""

from modelwave_controller.api import devices, fleet, rollouts, starts
from modelwave_controller.api.call import Call

CALLS: tuple[Call, ...] = (*rollouts.CALLS, *starts.CALLS, *fleet.CALLS, *devices.CALLS)  # type: ignore[type-arg]
