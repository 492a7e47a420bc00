"""Decides which proven messages of a device are new. Pure.

A proof says who sent a message, not when: whoever has the broker may keep messages and send them
again. So a proven message is judged by what is known of the device's proven messages alone, and
more strictly than others (installs.py), as nobody but the device could have numbered it:

    report    of the current install      NEWER, SAME or OLDER, by its number
              of a new install            REPLACED
              of an earlier install       LATE, for ever: an install does not come back
    window    of the current install      new, unless it is at or below the floor; windows.py knows
                                          which of the others were counted
              of another                  old

The floor is the highest number that was heard FLOOR_SECONDS ago. By then windows.py still knows the
windows above it: it forgets them after KEPT_SECONDS. Times are of the rollout clock.
"""

import json
from typing import NamedTuple

from modelwave_controller.storage.installs import (
    LATE,
    NEWER,
    OLDER,
    REPLACED,
    SAME,
    TAKEN,
    Heard,
)
from modelwave_controller.storage.windows import KEPT_SECONDS

MARK_SECONDS = 10 * 3600
FLOOR_SECONDS = KEPT_SECONDS - 12 * 3600
# Installs that were replaced, of which the ids are kept. A device that loses its state at each
# reset has many.
MAX_REPLACED = 200

Number = tuple[int, int]  # (boot, n)


class Mark(NamedTuple):
    """The highest number of the current install that was heard until `at`."""

    at: float
    number: Number


class Numbers(NamedTuple):
    """What was heard of a device with proof: `current`, its newest report; the installs that were
    `replaced`, oldest first; `last`, of reports and windows; `marks`, earlier values of `last`."""

    current: Heard
    last: Mark
    replaced: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()

    def floor(self, now: float) -> Number:
        due = [mark.number for mark in (*self.marks, self.last) if mark.at <= now - FLOOR_SECONDS]
        return max(due, default=(-1, 0))

    def at(self, number: Number, now: float) -> "Numbers":
        """Returns these after a message with this number."""
        marks = self.marks
        if not marks or now - marks[-1].at >= MARK_SECONDS:
            marks = (*marks, self.last)
        while len(marks) > 1 and marks[1].at <= now - FLOOR_SECONDS:
            marks = marks[1:]
        return self._replace(last=Mark(now, max(number, self.last.number)), marks=marks)

    def dump(self) -> str:
        return json.dumps(self)


def load(stored: str) -> Numbers:
    """Returns what `dump` has written."""
    current, last, replaced, marks = json.loads(stored)
    return Numbers(Heard(*current), _mark(*last), tuple(replaced), tuple(_mark(*m) for m in marks))


def _mark(at: float, number: list[int]) -> Mark:
    return Mark(at, (number[0], number[1]))


def judge_report(held: Numbers | None, report: Heard, now: float) -> tuple[str, Numbers]:
    """Returns what the report is, a word of installs.py, and what is held after it."""
    if held is None:
        return NEWER, Numbers(report, Mark(now, report.number))
    word = _word(held, report)
    if word not in TAKEN:
        return word, held
    if word == REPLACED:
        replaced = (*held.replaced, held.current.install)[-MAX_REPLACED:]
        return word, Numbers(report, Mark(now, report.number), replaced)
    return word, held._replace(current=report).at(report.number, now)


def _word(held: Numbers, report: Heard) -> str:
    if report.install != held.current.install:
        return LATE if report.install in held.replaced else REPLACED
    if report.number == held.current.number:
        return SAME
    return NEWER if report.number > held.current.number else OLDER


def judge_window(held: Numbers | None, window: Heard, now: float) -> tuple[str, Numbers | None]:
    """Returns why the window does not count, "" if it does, and what is held after it."""
    if held is None or window.install != held.current.install:
        is_earlier = held is not None and window.install in held.replaced
        return "of an install that " + ("was replaced" if is_earlier else "has not reported"), held
    if window.number <= held.floor(now):
        return "sent again after more than a day", held
    return "", held.at(window.number, now)
