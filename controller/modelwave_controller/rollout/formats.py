"""Finds the known devices that cannot read the documents of a rollout.

A device reports the highest format version `v` that it reads of each kind of document. The
controller never signs for its slot a document that it cannot read. Where an order of format 1 can
say the same, it writes that: orders with few slots, in place of one with a bitmap. Otherwise the
rollout holds and names the device.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from modelwave_controller.phrases import plural
from modelwave_controller.rollout import slot_sets
from modelwave_controller.rollout.events import OrderSent, Release
from modelwave_shared.limits import MAX_SLOT_RANGES, SLOTS
from modelwave_shared.orders import BITMAP_FORMAT
from modelwave_shared.words import MANIFEST, ORDER, WRITES

SHOWN_DEVICES = 3


class Reader(NamedTuple):
    """A known device, and the highest format version that it reads of each kind."""

    device: str
    target: str
    slot: int
    reads: Mapping[str, int]


class Unreadable(NamedTuple):
    """A text for each of the first devices that cannot read a document, and how many more there
    are."""

    texts: tuple[str, ...] = ()
    more: int = 0


def of_order(order: OrderSent) -> int:
    """Returns the format version of an order."""
    return WRITES[ORDER] if order.device else slot_sets.format_of(order.slots)


def most_ranges(reads: Iterable[Mapping[str, int]]) -> int:
    """Returns how many slot ranges an order may have, for devices that read these formats."""
    some_lack = any(one[ORDER] < BITMAP_FORMAT for one in reads)
    return MAX_SLOT_RANGES if some_lack else SLOTS


def needs_its_own(v: int, reads: Mapping[str, int]) -> bool:
    """Returns whether a device that `reads` these formats can read an order for it alone, but not
    its slot's order, which has format version `v`."""
    return WRITES[ORDER] <= reads[ORDER] < v


def shortfalls(release: Release, reads: Mapping[str, int]) -> list[str]:
    """Returns a text for each document of `release` that a device cannot read, which `reads` these
    format versions."""
    needed = {MANIFEST: release.v, ORDER: WRITES[ORDER]}
    return [
        f"reads {kind} v {reads[kind]} at most, v {v} is needed"
        for kind, v in needed.items()
        if reads[kind] < v
    ]


def unreadable(
    readers: Sequence[Reader], releases: Mapping[str, Release], slots: Mapping[str, Collection[int]]
) -> Unreadable:
    """Returns which readers cannot read the documents for their slot. `slots` are the slots of the
    new order, by target."""
    found = []
    for reader in readers:
        if reader.slot not in slots.get(reader.target, ()):
            continue
        if lacks := shortfalls(releases[reader.target], reader.reads):
            found.append(f"{reader.device} {' and '.join(lacks)}")
    return Unreadable(tuple(found[:SHOWN_DEVICES]), len(found[SHOWN_DEVICES:]))


def told(unreadable: Unreadable) -> str:
    """Returns one line for the devices that cannot read an order."""
    texts, more = unreadable
    named = "; ".join(texts) + (f"; and {more} more" if more else "")
    return f"{plural(len(texts) + more, 'known device')} cannot read it: {named}"
