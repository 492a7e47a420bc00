"""Local time, of hosts and the controller; boards have none."""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from modelwave_shared.maintenance import DAY, Windows

MAX_ZONE = 64  # characters of a time zone's name


def zone_of(name: str) -> tzinfo:
    """Returns a time zone by its name, such as Europe/Berlin or UTC. Raises ValueError."""
    if name == "UTC":
        return UTC
    try:
        if not 0 < len(name) <= MAX_ZONE:
            raise ValueError("no name has such a length")
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(
            f"{name[:MAX_ZONE]!r} is no time zone that this machine knows; give one such as "
            "Europe/Berlin or UTC (Debian's package tzdata has them)"
        ) from error


def at(moment: float, zone: tzinfo | None) -> datetime:
    """Returns a moment, in Unix seconds, in a time zone; None: the system's."""
    return datetime.fromtimestamp(moment, UTC).astimezone(zone)


def minute_of_week(moment: float, zone: tzinfo | None) -> int:
    """Returns the minute of the week, from Monday on, of a moment in Unix seconds."""
    local = at(moment, zone)
    return local.weekday() * DAY + local.hour * 60 + local.minute


def opens_at(windows: Windows, moment: float, zone: tzinfo | None) -> float:
    """Returns the first moment from `moment` on at which the windows are open."""
    return windows.opens_at(moment, lambda one: minute_of_week(one, zone))


def told(moment: float, zone: tzinfo | None) -> str:
    """Returns "Mon 2026-11-30 01:00 +0100"."""
    return at(moment, zone).strftime("%a %Y-%m-%d %H:%M %z")
