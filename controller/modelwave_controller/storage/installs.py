"""Decides which messages of a device are new. Pure.

A device numbers its messages by (boot, n), which only goes up. It begins anew where its state
folder is empty: the device was replaced or wiped. So the folder holds a random install id, which
is in each message, and numbers are compared within one install only:

    the message's install             what the message is
    --------------------------------  -----------------------------------------------------------
    the current one                   NEWER, SAME or OLDER, by its number
    another, first seen               REPLACED: it is taken at once
    another, seen before:
      not above its own last number   LATE: it was sent before the replacement, or is repeated
      above it, and the current one
        was heard of in the last hour CLONE: two devices use one id; it is ignored
        was not                       REPLACED

The current one stays the current one while both go on, so that two devices with one id do not
change what is stored, or add to the log, at each message.

An agent from before there were install ids sends none, which is the install "" here. Its messages
are NEWER or OLDER by their number alone, as they were always, except for LATE ones. Where its
agent was updated the numbers go on: the first message with an install is NEWER then.
"""

import json
from typing import NamedTuple

NEWER, SAME, OLDER = "newer", "same", "older"
LATE, REPLACED, CLONE = "late", "replaced", "clone"
TAKEN = (NEWER, REPLACED)

# Agents report at least every 15 minutes, give or take a fifth, and one report may be lost.
CLONE_SECONDS = 3600.0
MAX_OTHERS = 7  # installs that are remembered beside the current one


class Heard(NamedTuple):
    """The number of the newest message of an install."""

    install: str
    boot: int
    n: int

    @property
    def number(self) -> tuple[int, int]:
        return (self.boot, self.n)


class Installs(NamedTuple):
    """What was heard of the installs of one device."""

    current: Heard
    others: tuple[Heard, ...] = ()  # the one that was current last is at the end

    def last_of(self, install: str) -> Heard | None:
        return next((heard for heard in self.others if heard.install == install), None)

    def after(self, heard: Heard) -> "Installs":
        """Returns these with `heard` as the current one."""
        others = self.others
        if heard.install != self.current.install:
            others = (*self._without(heard.install), self.current)
        return Installs(heard, others[-MAX_OTHERS:])

    def beside(self, heard: Heard) -> "Installs":
        """Returns these with `heard` as what was heard last of another than the current one."""
        others = (heard if heard.install == one.install else one for one in self.others)
        return Installs(self.current, tuple(others))

    def _without(self, install: str) -> tuple[Heard, ...]:
        return tuple(heard for heard in self.others if heard.install != install)

    def dump_others(self) -> str:
        return json.dumps(self.others) if self.others else ""


def load(install: str, boot: int, n: int, others: str) -> Installs:
    """Returns what was stored; `others` as from dump_others."""
    found = json.loads(others) if others else []
    return Installs(Heard(install, boot, n), tuple(Heard(*entry) for entry in found))


def judge(held: Installs, message: Heard, silent_seconds: float) -> tuple[str, Installs]:
    """Returns what the message is, and what is held after it. `silent_seconds`: how long ago the
    current install was heard of."""
    word = _word(held, message, silent_seconds)
    if word in TAKEN:
        return word, held.after(message)
    return word, held.beside(message) if word == CLONE else held


def _word(held: Installs, message: Heard, silent_seconds: float) -> str:
    current = held.current
    if message.install == current.install:
        if message.number == current.number:
            return SAME
        return NEWER if message.number > current.number else OLDER
    last = held.last_of(message.install)
    if last and message.number <= last.number:
        return LATE
    if "" in (message.install, current.install) and message.number > current.number:
        return NEWER
    if not message.install:
        return OLDER
    if last is None or silent_seconds > CLONE_SECONDS:
        return REPLACED
    return CLONE


def count(held: Installs | None, message: Heard) -> Installs | None:
    """Returns what is held after a message that counts once: a metrics window. None: it was counted
    already. `held` None: there was no message yet."""
    if held is None:
        return Installs(message)
    last = (
        held.current if message.install == held.current.install else held.last_of(message.install)
    )
    if last and message.number <= last.number:
        return None
    return held.after(message)
