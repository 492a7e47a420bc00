"""Decides when too many of a rollout's devices are in trouble. Pure.

In trouble is a device that rolled back, failed, refused the release, or is silent after the
deadline: of all opened stages together, or of the revert once there is one. At least LEAST_DEVICES
of them, and the share that the settings name, begin the trouble; less than half of the share
ends it. So a number that swings about the share is told once.
"""

from typing import NamedTuple

from modelwave_controller.rollout.events import InTrouble, TroubleOver
from modelwave_controller.rollout.state import BACK, OUT, Rollout

LEAST_DEVICES = 2


class Devices(NamedTuple):
    """`of` devices were ordered something, of which so many are in `trouble`."""

    trouble: int
    of: int


def way(rollout: Rollout) -> str:
    return OUT if rollout.back is None else BACK


def change(rollout: Rollout, found: Devices, share: float) -> InTrouble | TroubleOver | None:
    """Returns what is to be noted about the devices on their `way`; None: nothing."""
    here = way(rollout)
    if rollout.in_trouble != here:
        too_many = found.trouble >= max(LEAST_DEVICES, share * found.of)
        if not too_many:
            return None
        return InTrouble(devices=found.trouble, of=found.of, share=share, back=here == BACK)
    if found.trouble < share / 2 * found.of or not found.trouble:
        return TroubleOver(devices=found.trouble, of=found.of)
    return None
