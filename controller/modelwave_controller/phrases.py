"""Writes durations, moments and counts in words, and reads durations."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from math import isfinite

MAX_REASON = 200  # characters of an operator's text
_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?) ?(s|m|min|h|d|)", re.ASCII)


def span(seconds: float) -> str:
    """Returns a duration in its two largest units, rounded up: "45 s", "12 min", "3 h 20 min" or
    "2 d 4 h". What is no number, as in a damaged database, is shown as it is."""
    if not isfinite(seconds):
        return f"{seconds:g} s"
    left = max(0, -int(-seconds // 1))
    if left < 120:
        return f"{left} s"
    minutes = -(-left // 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def seconds_of(text: str) -> float:
    """Returns the seconds of a duration such as "90", "90s", "15m", "1.5h" or "2d". Raises
    ValueError."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is no duration; give one such as 90s, 15m, 1h or 2d")
    return float(Fraction(found[1]) * _UNITS[found[2]])


def whole_seconds_of(text: str) -> int:
    """Returns the seconds of a duration, as seconds_of. Raises ValueError, also for parts of a
    second."""
    seconds = seconds_of(text)
    if seconds != int(seconds):
        raise ValueError(f"{text[:40]!r} has a part of a second; give whole seconds")
    return int(seconds)


def duration(seconds: int) -> str:
    """Returns a duration as seconds_of reads it, in the largest unit that it is a multiple of:
    "90s" or "1h"."""
    for unit in ("d", "h", "m"):
        if seconds and seconds % _UNITS[unit] == 0:
            return f"{seconds // _UNITS[unit]}{unit}"
    return f"{seconds}s"


def moment(seconds: float, utc: bool = False) -> str:
    """Returns a moment, in Unix seconds, in local time with its offset: "2026-11-29 08:15:49
    +0100". A number that is no date, as under a broken clock, is shown as it is."""
    try:
        at = datetime.fromtimestamp(seconds, UTC)
        return (at if utc else at.astimezone()).strftime("%Y-%m-%d %H:%M:%S %z")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g} s"


def clones(ids: Sequence[str]) -> str:
    """Returns what to do about ids that two devices use; there is at least one."""
    more = f" (and {plural(len(ids) - 1, 'more id')})" if len(ids) > 1 else ""
    return f"two devices use the id {ids[0]}{more}: give one of them another name"


def listed(names: Sequence[str]) -> str:
    """Returns the first few names: "d1, d2, d3, and 4 more"."""
    more = [f"and {len(names) - 3} more"] if len(names) > 3 else []
    return ", ".join([*names[:3], *more])


def offline_gateways(devices: Mapping[str, int]) -> str:
    """Returns what is added about gateways that are offline, by name with the devices behind each:
    "; gateway gw-1 is offline (2 devices)"; "" for none."""
    return "".join(
        f"; gateway {name} is offline ({plural(number, 'device')})"
        for name, number in devices.items()
    )


def plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def bans(devices: Sequence[str]) -> str:
    """Returns a sentence about devices that have banned a release; "" for none."""
    if not devices:
        return ""
    return (
        f"{plural(len(devices), 'device')}, such as {devices[0]}, rolled this release back "
        "before and will reject it, unless it is started with --lift-ban REASON"
    )
