"""Sets of slots, and the two forms in which an order names them.

The log and the database have them as ranges [first, last], sorted and apart. An order with up to
MAX_SLOT_RANGES of them names them so, as every agent reads it; with more it is of format version 2
and names them by a bitmap (modelwave_shared.orders). So the ranges say which form their order has.
"""

import base64
from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from modelwave_shared.limits import MAX_SLOT_RANGES, SLOTS
from modelwave_shared.orders import BITMAP_BYTES, BITMAP_FORMAT
from modelwave_shared.words import ORDER, WRITES

EVERY_SLOT = [[0, SLOTS - 1]]


def ranges_of(numbers: Iterable[int]) -> list[list[int]]:
    """Returns the ranges that contain exactly these slots."""
    ranges: list[list[int]] = []
    for number in sorted(set(numbers)):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ranges


def numbers_in(ranges: Iterable[Sequence[int]]) -> list[int]:
    """Returns the slots in the ranges."""
    return list(chain.from_iterable(range(first, last + 1) for first, last in ranges))


def contains(ranges: list[list[int]], number: int) -> bool:
    """Returns whether a range has the slot. A stage may have hundreds of ranges, and a fleet ten
    thousand devices, so it does not look at each."""
    at = bisect(ranges, [number, SLOTS])
    return at > 0 and number <= ranges[at - 1][1]


def format_of(ranges: Sequence[Sequence[int]]) -> int:
    """Returns the format version of an order for these slots."""
    needed = 1 if len(ranges) <= MAX_SLOT_RANGES else BITMAP_FORMAT
    return max(needed, WRITES[ORDER])


def named(ranges: list[list[int]]) -> list[list[int]] | str:
    """Returns the field `slots` of an order for these slots."""
    if format_of(ranges) < BITMAP_FORMAT:
        return ranges
    bits = sum(1 << number for number in numbers_in(ranges))
    return base64.b64encode(bits.to_bytes(BITMAP_BYTES, "little")).decode()


def named_in(order: Mapping[str, Any]) -> list[list[int]]:
    """Returns the slots of a checked order for slots."""
    slots = order["slots"]
    if not isinstance(slots, str):
        return ranges_of(numbers_in(slots))
    bits = int.from_bytes(base64.b64decode(slots), "little")
    return ranges_of(number for number in range(SLOTS) if bits >> number & 1)
