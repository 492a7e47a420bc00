"""Slots: 1,000 parts of a fleet. A hash of fleet and device id decides a device's slot."""

import hashlib

from modelwave_shared.limits import SLOTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def slot(fleet: str, device: str) -> int:
    """Returns the slot, 0…999: sha256(fleet ‖ 0x00 ‖ device id), first 4 bytes big-endian, mod
    1000."""
    digest = hashlib.sha256(fleet.encode() + b"\0" + device.encode()).digest()
    return int.from_bytes(digest[:4], "big") % SLOTS


def contains(ranges: "Iterable[Sequence[int]]", number: int) -> bool:
    """Whether `ranges`, a list of [first, last], contains the slot `number`."""
    return any(first <= number <= last for first, last in ranges)


def ranges_of(numbers: "Iterable[int]") -> list[list[int]]:
    """Returns the sorted [first, last] ranges that contain exactly these slots."""
    ranges: list[list[int]] = []
    for number in sorted(set(numbers)):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ranges
