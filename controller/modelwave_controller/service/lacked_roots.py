"""Decides which roots are sent again: the broker may not hold them where a device looks for them.

A device takes one root after the other, from a topic of each. One that goes on reporting an older
root than the fleet's lacks the next one, or refuses it. That root is sent again MARGIN_SECONDS
after it was first seen to be lacked, and then not for FIRST_PAUSE_SECONDS.
"""

from collections.abc import Iterable

from modelwave_controller.rollout.repair import FIRST_PAUSE_SECONDS, MARGIN_SECONDS
from modelwave_controller.storage.devices import HeardModel


class LackedRoots:
    def __init__(self) -> None:
        self._due: dict[int, float] = {}  # by version, in seconds of the rollout clock

    def look(self, heard: Iterable[HeardModel], newest: int) -> list[int]:
        """Returns the versions of the roots to be sent again; `newest`: that of the fleet."""
        lacked = {one.root + 1: one.clock for one in heard if 0 < one.root < newest}
        due = [v for v, at in lacked.items() if at >= self._due.setdefault(v, at + MARGIN_SECONDS)]
        self._due |= {version: lacked[version] + FIRST_PAUSE_SECONDS for version in due}
        return due
