"""Measures how much memory a model could get."""

import gc

TRIES = 8


def largest() -> int:
    """Returns the bytes of the largest free piece of the heap, exact to 1/256 of all free bytes.
    It finds them by trying, as gc.mem_free() adds up all gaps, and a model needs one piece."""
    gc.collect()
    low: int = 0  # this much can be allocated
    high: int = gc.mem_free()  # more than this cannot
    for _ in range(TRIES):
        size = (low + high + 1) // 2
        if _can_have(size):
            low = size
        else:
            high = size
        gc.collect()
    return low


def _can_have(size: int) -> bool:
    # A function of its own, so that the bytearray is garbage when it returns.
    try:
        bytearray(size)
    except MemoryError:
        return False
    return True
