"""Which known devices could not read what a rollout is about to sign.

A device says in its report which format, `v`, of each kind of document it reads at most. What
it could not read is never signed for its slot: the rollout holds and names the device.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from modelwave_controller.phrases import plural
from modelwave_controller.rollout.events import Release
from modelwave_shared.words import MANIFEST, ORDER, WRITES

SHOWN_DEVICES = 3


class Reader(NamedTuple):
    """A known device, and the highest format of each kind that it reads."""

    device: str
    target: str
    slot: int
    reads: Mapping[str, int]


def shortfalls(release: Release, reads: Mapping[str, int]) -> list[str]:
    """A text for each document of `release` that whoever reads so much could not read."""
    needed = {MANIFEST: release.v, ORDER: WRITES[ORDER]}
    return [
        f"reads {kind} v {reads[kind]} at most, v {v} is needed"
        for kind, v in needed.items()
        if reads[kind] < v
    ]


def unreadable(
    readers: Sequence[Reader], releases: Mapping[str, Release], slots: Mapping[str, Collection[int]]
) -> list[str]:
    """A text for each of `readers` that could not read what is signed for its slot; `slots`
    are those that are signed for, by target."""
    found = []
    for reader in readers:
        if reader.slot in slots.get(reader.target, ()):
            lacks = shortfalls(releases[reader.target], reader.reads)
            if lacks:
                found.append(f"{reader.device} {' and '.join(lacks)}")
    return found


def told(unreadable: Sequence[str]) -> str:
    """What `unreadable` found, on a line that does not grow with the fleet."""
    more = len(unreadable) - SHOWN_DEVICES
    named = "; ".join(unreadable[:SHOWN_DEVICES]) + (f"; and {more} more" if more > 0 else "")
    return f"{plural(len(unreadable), 'known device')} could not read it: {named}"
