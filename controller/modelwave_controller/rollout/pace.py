"""Opens a stage in parts, where the plan says how many devices a minute it opens. Pure.

1. The smallest part is a slot, or one named device: with 10,000 devices a slot has 10.
2. A part opens slots until they hold the devices of PART_SECONDS, at least one, and the next one
   is due when these devices had their time. So in each minute the stage opens at most the
   plan's number, and the devices of one part more.
3. All targets together have this number, and advance evenly. A part needs an order, and so
   a signature, for each of its targets; each slot's topic is published to once.
4. Slots without a known device cost nothing.
5. Times are of the rollout clock, and the next part waits until the broker has acknowledged
   the one before. So nothing that was missed, while no service ran or the broker was away, is
   made up for: the parts go on at the same pace.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from modelwave_controller.phrases import plural, span
from modelwave_controller.rollout.events import Rest

PART_SECONDS = 10


class Place(NamedTuple):
    """A slot with so many known devices, or one named `device` in it."""

    target: str
    slot: int
    devices: int
    device: str = ""


class Part(NamedTuple):
    """What opens now, and how many known devices later parts open."""

    places: Sequence[Place]
    left: int = 0

    @property
    def devices(self) -> int:
        return sum(place.devices for place in self.places)

    def rest(self, rate: int | None, now: float) -> Rest | None:
        """Returns what is to be opened later, if this part opens at `now` of the rollout clock;
        `rate` is in devices a minute."""
        if rate is None or not self.left:
            return None
        return Rest(devices=self.left, due=now + 60 * self.devices / rate)


def first_part(places: Mapping[str, Sequence[Place]], rate: int | None) -> Part:
    """Returns the part that opens now of these places, by target; `rate` is in devices a minute,
    None: all at once."""
    due = _evenly(places.values())
    if rate is None:
        return Part(due)
    enough, number = rate * PART_SECONDS / 60, 0
    for held, place in enumerate(due):
        if place.devices and number >= enough:
            return Part(due[:held], sum(later.devices for later in due[held:]))
        number += place.devices
    return Part(due)


def told(opened: int, rest: Rest, rate: int) -> str:
    """Returns "opening: 1,200 of 5,000 devices, 200 a minute, 19 min left"."""
    every = opened + rest.devices
    noun = plural(every, "device").partition(" ")[2]
    left = span(60 * rest.devices / rate)
    return f"opening: {opened:,} of {every:,} {noun}, {rate:,} a minute, {left} left"


def _evenly(targets: Iterable[Sequence[Place]]) -> list[Place]:
    """Returns all places; those of each target stay in their order, and all targets advance by the
    same share."""
    shares = [
        ((number + 1) / len(places), order, place)
        for order, places in enumerate(targets)
        for number, place in enumerate(places)
    ]
    return [place for _, _, place in sorted(shares, key=lambda one: one[:2])]
