"""How much memory a model could get."""

import gc

TRIES = 8


def largest() -> int:
    """Bytes of the largest piece of the heap that is free, to a 256th of what is free in all.
    It is found by trying: gc.mem_free() adds up the gaps, and a model needs one piece."""
    gc.collect()
    low: int = 0  # this much could be had
    high: int = gc.mem_free()  # more than this could not
    for _ in range(TRIES):
        size = (low + high + 1) // 2
        if _can_have(size):
            low = size
        else:
            high = size
        gc.collect()
    return low


def _can_have(size: int) -> bool:
    # In a function of its own: what its frame pointed to is garbage when it returns.
    try:
        bytearray(size)
    except MemoryError:
        return False
    return True
