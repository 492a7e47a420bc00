"""What SMP says of a pair of MCUboot's slots, in our words. No input or output here.

| MCUboot, SMP                                       | ours                               |
| -------------------------------------------------- | ---------------------------------- |
| primary slot, active                               | the bank that runs                 |
| secondary slot                                     | the spare bank                     |
| pending: set for a test                            | the trial begins at the next reset |
| active, not confirmed: swapped for a test          | on trial                           |
| confirm: image_ok in the trailer                   | confirm                            |
| revert: swapped back at a reset without confirm    | roll back                          |
| confirmed                                          | confirmed                          |
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

_HASH_BYTES = 32


class Slots(NamedTuple):
    """Images by their hash in hex; "": none, or one without a SHA-256."""

    runs: str
    is_confirmed: bool
    spare: str
    is_pending: bool  # the spare one runs after the next reset

    @property
    def is_settled(self) -> bool:
        """Returns whether a reset would change nothing."""
        return self.is_confirmed and not self.is_pending


def slots_of(images: Iterable[Any], image: int) -> Slots:
    """Returns the slots of pair `image` from SMP's list of images."""
    pair = [one for one in images if (one.image or 0) == image]
    active = next((one for one in pair if one.active), None)
    primary = active or next((one for one in pair if one.slot == 0), None)
    spare = next((one for one in pair if one is not primary), None)
    return Slots(
        _hash(primary),
        bool(primary and primary.confirmed),
        _hash(spare),
        bool(spare and spare.pending),
    )


def _hash(image: Any) -> str:
    found = (image and image.hash) or b""
    return bytes(found).hex() if len(found) == _HASH_BYTES else ""
