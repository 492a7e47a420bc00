"""Chooses the slots of each stage.

A rollout opens slots in a circle from its random start slot, so that the same devices are not
always the canaries. Each target has its own width: the number of open slots from the start. A
stage increases the width until the open slots hold the stage's share of the target's known
devices, rounded up, and at least the plan's `least_devices` of
them, as fewer can hardly be judged. The stage of 100 % opens every slot, also those without a known
device.

The functions take counts, not devices: `counts` is {slot: known devices of the target in it}.
"""

from collections.abc import Mapping
from math import ceil

from modelwave_controller.rollout.plan import share
from modelwave_shared.limits import SLOTS


def widen(counts: Mapping[int, int], start: int, width: int, percent: float, least: int = 1) -> int:
    """Returns the width, in slots, for a stage of `percent`, which opens at least `least` devices
    where there are so many; never below the old `width`."""
    if percent == 100:
        return SLOTS
    known = sum(counts.values())
    wanted = max(ceil(share(percent) * known), min(least, known))
    held = sum(counts.get(slot, 0) for slot in opened(start, 0, width))
    while held < wanted and width < SLOTS:
        held += counts.get((start + width) % SLOTS, 0)
        width += 1
    return width


def opened(start: int, old: int, new: int) -> list[int]:
    """Returns the slots that a change of the width from `old` to `new` opens, in their order."""
    return [(start + step) % SLOTS for step in range(old, new)]


def count_devices(counts: Mapping[int, int], ranges: list[list[int]]) -> int:
    """Returns the number of known devices in the slots of `ranges` ([first, last] each)."""
    return sum(counts.get(slot, 0) for first, last in ranges for slot in range(first, last + 1))
