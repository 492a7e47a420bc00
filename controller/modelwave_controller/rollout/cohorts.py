"""Chooses the slots of each stage.

A rollout opens the slots in a random order, which is drawn anew for each (draw.py), so that its
canaries are a random sample of the fleet. Each target has its own width: how many slots of that
order are open. A stage increases the width until the open slots hold the stage's share of the
target's known devices, rounded up, and at least the plan's `least_devices` of them, as fewer can
hardly be judged. The stage of 100 % opens every slot, also those without a known device.

The functions take counts, not devices: `counts` is {slot: known devices of the target in it}.
`drawn` is all slots, in the rollout's order.
"""

from collections.abc import Mapping, Sequence
from math import ceil

from modelwave_controller.rollout.plan import share
from modelwave_controller.rollout.slot_sets import numbers_in
from modelwave_shared.limits import SLOTS


def widen(
    counts: Mapping[int, int], drawn: Sequence[int], width: int, percent: float, least: int = 1
) -> int:
    """Returns the width, in slots, for a stage of `percent`, which opens at least `least` devices
    where there are so many; never below the old `width`."""
    if percent == 100:
        return SLOTS
    known = sum(counts.values())
    wanted = max(ceil(share(percent) * known), min(least, known))
    held = sum(counts.get(slot, 0) for slot in drawn[:width])
    while held < wanted and width < SLOTS:
        held += counts.get(drawn[width], 0)
        width += 1
    return width


def count_devices(counts: Mapping[int, int], ranges: list[list[int]]) -> int:
    """Returns the number of known devices in the slots of `ranges` ([first, last] each)."""
    return sum(counts.get(slot, 0) for slot in numbers_in(ranges))
