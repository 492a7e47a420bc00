"""Advances the rollout clock, and finds out whether the wall clock can be right. Pure: readings are
arguments.

Soaks and deadlines run by the rollout clock: the seconds in which a service did its ticks. It
advances with the machine's steady clock, which nobody can set.

    1. Time in which no service ran does not count: nobody would have reverted a bad release.
       Of a gap of more than GAP_SECONDS between two ticks (the machine slept, the database was
       away) GAP_SECONDS count.
    2. The wall clock is for people, and for the dates in orders. It is expected to advance as the
       steady clock does; small corrections are followed.
    3. It is in doubt, and nothing may be signed, when it differs from what is expected by more
       than a bound below. Then the expectation advances by the steady clock alone.
    4. At a service's first tick it may not be behind the newest event either, until it has caught
       up. Events that were written under a doubtful clock do not count.
    5. The doubt ends when the wall clock is within the bounds again, or when the operator accepts
       it. A restart of the service does not end it.
"""

from typing import NamedTuple

from modelwave_controller.phrases import span

GAP_SECONDS = 60
# How far the wall clock may be from what is expected, in seconds.
MAX_BEHIND_SECONDS = 5 * 60
MAX_AHEAD_SECONDS = 3600
# A service may have been stopped for a while, but hardly for years.
MAX_AHEAD_AT_START_SECONDS = 30 * 86400


class Reading(NamedTuple):
    """The clocks at a tick. `seconds` is the rollout clock, `wall` the Unix seconds that the wall
    clock is expected to show (0: no service has run yet), `doubt` why it is in doubt, or ""."""

    seconds: float
    wall: float
    doubt: str = ""


def advanced(last: Reading, wall: float, passed: float | None, newest: float = 0.0) -> Reading:
    """Returns the reading after `last`. `wall` is what the wall clock shows, `passed` the seconds
    of the steady clock since the service's last tick (None: it is its first), `newest` the Unix
    seconds of the newest event."""
    step = max(0.0, passed or 0.0)
    expected = last.wall + step if last.wall else 0.0
    doubt = _behind(max(expected, newest) - wall) or _ahead(wall - expected, last, passed)
    return Reading(last.seconds + min(step, GAP_SECONDS), expected if doubt else wall, doubt)


def _behind(off: float) -> str:
    if off > MAX_BEHIND_SECONDS:
        return f"the clock is {span(off)} behind the newest tick or event"
    return ""


def _ahead(off: float, last: Reading, passed: float | None) -> str:
    bound = MAX_AHEAD_AT_START_SECONDS if passed is None and not last.doubt else MAX_AHEAD_SECONDS
    if last.wall and off > bound:
        return f"the clock is {span(off)} ahead of the last tick of a service"
    return ""
