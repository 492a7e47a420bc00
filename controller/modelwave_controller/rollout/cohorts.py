"""Who is in which stage.

Slots are opened in a circle from the rollout's random start, so that the same devices are
not always the canaries. Each target has its own width: how many slots from the start are
open. A stage widens it until the open slots hold the stage's share of the target's known
devices, rounded up; the stage of 100 % opens every slot, known or not.

Nothing here knows a device: `counts` is {slot: known devices of the target in it}.
"""

from collections.abc import Mapping
from math import ceil

from modelwave_controller.rollout.plan import share
from modelwave_shared.limits import SLOTS


def widen(counts: Mapping[int, int], start: int, width: int, percent: float) -> int:
    """The new width, never below the old one."""
    if percent == 100:
        return SLOTS
    known = sum(counts.values())
    wanted = ceil(share(percent) * known)
    held = sum(counts.get(slot, 0) for slot in opened(start, 0, width))
    while held < wanted and width < SLOTS:
        held += counts.get((start + width) % SLOTS, 0)
        width += 1
    return width


def opened(start: int, old: int, new: int) -> list[int]:
    """The slots that widening from `old` to `new` opens, in their order."""
    return [(start + step) % SLOTS for step in range(old, new)]


def count_devices(counts: Mapping[int, int], ranges: list[list[int]]) -> int:
    """How many known devices the slots in `ranges` ([first, last] each) hold."""
    return sum(counts.get(slot, 0) for first, last in ranges for slot in range(first, last + 1))
