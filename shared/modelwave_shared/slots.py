"""Slots: the fleet cut into 1,000 parts that differ from fleet to fleet."""

import hashlib

from modelwave_shared.limits import SLOTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def slot(fleet: str, device: str) -> int:
    """0…999: sha256(fleet ‖ 0x00 ‖ device id), first 4 bytes big-endian, mod 1000."""
    digest = hashlib.sha256(fleet.encode() + b"\0" + device.encode()).digest()
    return int.from_bytes(digest[:4], "big") % SLOTS


def contains(ranges: "Iterable[Sequence[int]]", number: int) -> bool:
    """Whether `ranges`, a list of [first, last], holds the slot."""
    return any(first <= number <= last for first, last in ranges)


def ranges_of(numbers: "Iterable[int]") -> list[list[int]]:
    """The sorted [first, last] ranges that hold exactly these slots."""
    ranges: list[list[int]] = []
    for number in sorted(set(numbers)):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ranges
