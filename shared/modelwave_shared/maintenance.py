"""Maintenance windows: the ranges of minutes of a week in which a device may change its model.

Minute 0 is Monday, 00:00 of the local time. A range has its first minute and its length, and may
go over the week's end. An order has them in `extra`, in two lists; who does not know them ignores
them. Boards have no local time and do not import this.

What is local time is not known here: `local` is a function that returns the minute of the week of
a moment in Unix seconds. So a day may have 23 or 25 hours: a window in the hour that the clocks
leave out does not come, one in the hour that comes twice comes twice.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Local = Callable[[float], int]

# The fields of an order's `extra`, and the name under which a report's `reads` says that the device
# judges them itself.
STARTS, LENGTHS = "maintenance_starts", "maintenance_minutes"
READS_MAINTENANCE = "maintenance"

DAY = 1440  # minutes
WEEK = 7 * DAY
MAX_RANGES = 14
_MAX_STEPS = 1000  # a change of the clock costs about 30


class Windows:
    """The minutes of the week in which it may go on."""

    def __init__(self, ranges: "Sequence[Sequence[int]]") -> None:
        """`ranges`: (first minute, length) each; they may overlap. Raises ValueError if there are
        none, or more than MAX_RANGES, or one is out of the week."""
        if not 1 <= len(ranges) <= MAX_RANGES:
            raise ValueError("%d ranges, allowed are 1 to %d" % (len(ranges), MAX_RANGES))
        for start, length in ranges:
            if not (0 <= start < WEEK and 1 <= length <= WEEK):
                raise ValueError("%d minutes from %d are not in a week" % (length, start))
        self.ranges = sorted((start, length) for start, length in ranges)

    def wait(self, minute: int) -> int:
        """Returns how many minutes of the week it is from `minute` to the next open one; 0: it is
        open."""
        return min(
            0 if (minute - start) % WEEK < length else (start - minute) % WEEK
            for start, length in self.ranges
        )

    def longest_wait(self) -> int:
        """Returns the most minutes from the end of a window to the next open minute."""
        return max(self.wait((start + length) % WEEK) for start, length in self.ranges)

    def opens_at(self, moment: float, local: "Local") -> float:
        """Returns the first moment, in Unix seconds, from `moment` on at which it is open: `moment`
        itself if it is. It never steps over a change of the clock, in which a window may come
        again, or not at all."""
        for _ in range(_MAX_STEPS):
            minute = local(moment)
            step = self.wait(minute)
            if not step:
                return moment
            moment -= moment % 60
            while step > 1 and (local(moment + step * 60) - minute) % WEEK != step % WEEK:
                step //= 2
            moment += step * 60
        raise ValueError("the clock of this time zone has no minute in the windows")


def in_extra(windows: Windows) -> "dict[str, list[int]]":
    """Returns the fields of an order's `extra`."""
    return {
        STARTS: [start for start, _ in windows.ranges],
        LENGTHS: [length for _, length in windows.ranges],
    }


def of_extra(starts: "Any", lengths: "Any") -> "Windows | None":
    """Returns the windows of these two fields of an order; None if it has neither. Raises
    ValueError if they are not as `in_extra` makes them."""
    if starts is None and lengths is None:
        return None
    for field, values in ((STARTS, starts), (LENGTHS, lengths)):
        if type(values) is not list or any(type(value) is not int for value in values):
            raise ValueError("order.extra.%s: no list of integers" % field)
    if len(starts) != len(lengths):
        raise ValueError("order.extra.%s: not as many as %s" % (LENGTHS, STARTS))
    return Windows(list(zip(starts, lengths)))
