"""Slots: 1,000 parts of a fleet. A hash of fleet and device id decides a device's slot."""

import binascii
import hashlib

from modelwave_shared.limits import SLOTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def slot(fleet: str, device: str) -> int:
    """Returns the slot, 0…999: sha256(fleet ‖ 0x00 ‖ device id), first 4 bytes big-endian, mod
    1000."""
    digest = hashlib.sha256(fleet.encode() + b"\0" + device.encode()).digest()
    return int.from_bytes(digest[:4], "big") % SLOTS


def contains(slots: "Sequence[Sequence[int]] | str", number: int) -> bool:
    """Whether the checked field `slots` of an order contains the slot `number`, 0…999. It is a list
    of [first, last], or the text of a bitmap (orders.py)."""
    if isinstance(slots, str):
        return bool(binascii.a2b_base64(slots)[number // 8] >> number % 8 & 1)
    return any(first <= number <= last for first, last in slots)
