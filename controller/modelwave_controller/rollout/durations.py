"""Reads the durations of a plan's settings: `soak = "1h"` means `soak_seconds = 3600`."""

from typing import Any

from modelwave_controller.phrases import whole_seconds_of

# Key of a duration: the key of its seconds.
PLAN = {"expires": "expires_seconds"}
TRIAL = {"time": "seconds"}
SHADOW = {"time": "seconds"}
STAGE = {"soak": "soak_seconds", "deadline": "deadline_seconds"}
JUDGE = {"window": "window_seconds", "grace": "grace_seconds"}


def in_seconds(settings: dict[str, Any]) -> dict[str, Any]:
    """Returns the settings with all durations in seconds. Raises ValueError, which names the
    key."""
    found = _converted(settings, PLAN, "")
    if isinstance(found.get("trial"), dict):
        found["trial"] = _converted(found["trial"], TRIAL, "trial.")
    if isinstance(found.get("shadow"), dict):
        found["shadow"] = _converted(found["shadow"], SHADOW, "shadow.")
    if isinstance(found.get("judge"), dict):
        found["judge"] = _converted(found["judge"], JUDGE, "judge.")
    if isinstance(found.get("stages"), list):
        found["stages"] = [
            _converted(stage, STAGE, f"stages.{number}.") if isinstance(stage, dict) else stage
            for number, stage in enumerate(found["stages"])
        ]
    return found


def _converted(part: dict[str, Any], names: dict[str, str], where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in part.items():
        name = names.get(key, key)
        if name in found:
            other = next(
                other for other in part if other != key and names.get(other, other) == name
            )
            raise ValueError(f"{where}{key}: means the same as {other}: give only one of them")
        if key in names and not isinstance(value, str):
            raise ValueError(f'{where}{key}: give a duration in quotes, such as "90s" or "1h"')
        is_duration = name in names.values() and isinstance(value, str)
        found[name] = _seconds(value, f"{where}{key}") if is_duration else value
    return found


def _seconds(text: str, key: str) -> int:
    try:
        return whole_seconds_of(text)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error
