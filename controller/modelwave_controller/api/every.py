"""All calls."""

from modelwave_controller.api import rollouts
from modelwave_controller.api.call import Call

CALLS: tuple[Call, ...] = (*rollouts.CALLS,)  # type: ignore[type-arg]
