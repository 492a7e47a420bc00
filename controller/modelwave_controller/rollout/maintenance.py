"""The maintenance windows of a plan: when devices may change their model. Pure.

    [maintenance]
    windows = ["mon-fri 01:00-04:00", "sat,sun 00:00-24:00"]
    timezone = "Europe/Berlin"

A window that ends before it begins goes over midnight: it ends on the next day. Devices that have
a local time judge them by that; for the others no stage opens outside of them by `timezone`.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from modelwave_controller.phrases import span
from modelwave_shared import local_time
from modelwave_shared.local_time import MAX_ZONE
from modelwave_shared.maintenance import DAY, MAX_RANGES, WEEK, Windows

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MAX_TEXT = 64  # characters of a window
# By how much a change of daylight saving time may lengthen the wait for a window.
CLOCK_CHANGE_SECONDS = 3600
# The hours of a day that such a change leaves out somewhere, with all windows within them.
LEFT_OUT_HOURS = (0, 1, 2, 3, 22, 23)
_TIMES = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)", re.ASCII)


class Maintenance(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    windows: Annotated[
        tuple[Annotated[str, Field(max_length=MAX_TEXT)], ...],
        Field(min_length=1, max_length=MAX_RANGES, strict=False),
    ]
    timezone: Annotated[str, Field(min_length=1, max_length=MAX_ZONE)] = "UTC"

    @field_validator("windows")
    @classmethod
    def _are_windows(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        joined = _joined([one for text in texts for one in parse_window(text)])
        if len(joined) > MAX_RANGES:
            raise ValueError(
                f"{len(joined)} windows a week, allowed are {MAX_RANGES}: put some together"
            )
        if joined[0][1] == WEEK:
            raise ValueError("the whole week is open: leave [maintenance] out")
        return texts

    @property
    def week(self) -> Windows:
        return _week(self.windows)

    @property
    def longest_wait_seconds(self) -> int:
        """The longest time between two windows, and an hour for a change of daylight saving
        time, which may also leave out windows of at most an hour at night."""
        hours = (day * DAY + 60 * hour for day in range(7) for hour in LEFT_OUT_HOURS)
        longest = max(_longest_wait_without(self.week, hour) for hour in hours)
        return 60 * longest + CLOCK_CHANGE_SECONDS

    def closed(self, now: float) -> str:
        """Returns "" if a window is open at `now`, in Unix seconds; else that none is, and when
        the next one opens, in the plan's time zone."""
        try:
            zone = local_time.zone_of(self.timezone)
            opens = local_time.opens_at(self.week, now, zone)
        except ValueError as error:
            return f"outside of its maintenance windows, as far as can be told: {error}"
        if opens == now:
            return ""
        at = local_time.told(opens, zone)
        return f"outside of its maintenance windows; opens at {at}, in {span(opens - now)}"


@functools.lru_cache(maxsize=256)
def _week(texts: tuple[str, ...]) -> Windows:
    return Windows(_joined([one for text in texts for one in parse_window(text)]))


def _longest_wait_without(week: Windows, hour: int) -> int:
    """Returns the longest wait, in minutes, if the hour from minute `hour` of the week is left
    out once."""
    inside = [(a, length) for a, length in week.ranges if hour <= a and a + length <= hour + 60]
    rest = [one for one in week.ranges if one not in inside]
    if not rest:
        return WEEK + week.longest_wait()
    return max(week.longest_wait(), Windows(rest).longest_wait())


def parse_window(text: str) -> list[tuple[int, int]]:
    """Returns (first minute of the week, minutes) for each day of a window such as "mon-fri
    01:00-04:00". Raises ValueError."""
    days, _, times = text.strip().partition(" ")
    found = _TIMES.fullmatch(times.strip())
    if not found:
        raise ValueError(f'"{text}": give days and times, such as "mon-fri 01:00-04:00"')
    start, end = (_minute(text, *found.group(n, n + 1)) for n in (1, 3))
    if start in (DAY, end):
        raise ValueError(f'"{text}": ends when it begins; a whole day is 00:00-24:00')
    length = end - start if end > start else end + DAY - start
    return [(day * DAY + start, length) for day in _days(text, days)]


def _minute(text: str, hour: str, minute: str) -> int:
    found = int(hour) * 60 + int(minute)
    if int(minute) > 59 or found > DAY:
        raise ValueError(f'"{text}": {hour}:{minute} is no time from 00:00 to 24:00')
    return found


def _days(text: str, days: str) -> Iterator[int]:
    for part in days.split(","):
        first, dash, last = part.partition("-")
        for day in (first, last) if dash else (first,):
            if day not in DAYS:
                raise ValueError(f'"{text}": {day!r} is no day; give some of {", ".join(DAYS)}')
        number = DAYS.index(first)
        yield number
        while dash and DAYS[number] != last:
            number = (number + 1) % 7
            yield number


def _joined(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Returns the fewest ranges that have the same minutes."""
    minutes = bytearray(WEEK)
    for start, length in ranges:
        over = max(0, start + length - WEEK)  # goes on at the week's begin
        minutes[start : start + length - over] = b"\1" * (length - over)
        minutes[:over] = b"\1" * over
    starts = [found.start() for found in re.finditer(b"\0\1", minutes[-1:] + minutes)]
    if not starts:
        return [(0, WEEK)]
    doubled = bytes(minutes) * 2
    return [(at, doubled.index(0, at) - at) for at in starts]
