"""All calls."""

from modelwave_controller.api import devices, fleet, rollouts
from modelwave_controller.api.call import Call

CALLS: tuple[Call, ...] = (*rollouts.CALLS, *fleet.CALLS, *devices.CALLS)  # type: ignore[type-arg]
