"""Draws the order in which a rollout opens the slots, from a seed that its log has.

    A slot's place is that of sha256(seed ‖ slot) among those of all slots: the seed in 8 bytes, the
    slot in 2, both big-endian; the hashes are compared as bytes.

So every program finds the same one, which random.shuffle does not promise for two versions of
Python: a rollout goes on with its seed after an update, and an operator can repeat it.

A rollout of before there were seeds opens the slots in a circle from its start slot.
"""

from functools import lru_cache
from hashlib import sha256

from modelwave_shared.limits import SLOTS

MAX_SEED = 2**32 - 1


@lru_cache(maxsize=64)  # each tick asks
def drawn(seed: int) -> tuple[int, ...]:
    """Returns all slots, in the order of the draw. `seed`: 0 to MAX_SEED."""
    start = seed.to_bytes(8, "big")

    def place(slot: int) -> bytes:
        return sha256(start + slot.to_bytes(2, "big")).digest()

    return tuple(sorted(range(SLOTS), key=place))


def circle(start: int) -> tuple[int, ...]:
    """Returns all slots, from the slot `start` on."""
    return tuple((start + step) % SLOTS for step in range(SLOTS))
