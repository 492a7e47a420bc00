"""The limit of latency that a release signs: devices count the inferences that take longer.

In a manifest it is microseconds in `extra`: latency_limit_us. A device that does not know it counts
nothing.
"""

from collections.abc import Mapping
from typing import Any

from modelwave_controller.errors import OperatorError
from modelwave_shared.limits import MILLION

FIELD = "latency_limit_us"
MAX_US = 3600 * MILLION


def microseconds(ms: float) -> int:
    """Returns the limit of the option --latency-limit. Raises OperatorError."""
    found = round(1000 * ms) if abs(ms) < MAX_US else 0
    if not 1 <= found <= MAX_US:
        raise OperatorError(
            f"--latency-limit: {ms:g}; give milliseconds, from 0.001 to {MAX_US // 1000}"
        )
    return found


def recorded(limit_us: int) -> dict[str, int]:
    """Returns the field of a manifest's `extra` with the limit."""
    return {FIELD: limit_us}


def of_manifest(document: Mapping[str, Any]) -> int:
    """Returns the limit of a checked manifest, in microseconds; 0 if it has none that can be
    read."""
    limit = document.get("extra", {}).get(FIELD)
    return limit if type(limit) is int and 0 < limit <= MAX_US else 0


def shown(limit_us: int) -> str:
    return f"{limit_us / 1000:g} ms" if limit_us else "none"
