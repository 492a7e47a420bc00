"""Reads the start time that an operator gives a rollout. Pure."""

from datetime import datetime

from modelwave_controller.errors import OperatorError
from modelwave_controller.phrases import moment

MAX_START_SECONDS = 365 * 86400
_EXAMPLE = "2026-11-30T02:00+01:00"


def start_at(at: str | None, within: int | None, now: float) -> float | None:
    """Returns the start in Unix seconds, of a moment `at` with its offset, such as
    2026-11-30T02:00+01:00, or of seconds from `now`, Unix seconds; None for neither. Raises
    OperatorError, also for a moment that has passed or is more than a year away."""
    if at is not None and within is not None:
        raise OperatorError("--at: give it or --in, not both")
    if within is not None:
        return require_within_a_year("--in", now + within, now)
    if at is None:
        return None
    found = _moment(at)
    if found < now:
        raise OperatorError(
            f"--at: {moment(found)} has passed, it is {moment(now)} now; without --at it begins at "
            "once"
        )
    return require_within_a_year("--at", found, now)


def _moment(text: str) -> float:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise OperatorError(
            f"--at: {text[:40]!r} is no moment; give one such as {_EXAMPLE}"
        ) from error
    if found.tzinfo is None:
        raise OperatorError(
            f"--at: {text[:40]!r} has no offset from UTC; give one such as {_EXAMPLE}, or Z for UTC"
        )
    return found.timestamp()


def require_within_a_year(option: str, found: float, now: float) -> float:
    """Returns a moment that is at most a year away. Raises OperatorError for another one."""
    if found > now + MAX_START_SECONDS:
        raise OperatorError(f"{option}: {moment(found)} is more than a year away")
    return found
