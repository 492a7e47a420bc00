"""How much memory a model could get."""

import gc

TRIES = 8


def largest():
    """Bytes of the largest piece of the heap that is free, to a 256th of what is free in all.
    It is found by trying: gc.mem_free() adds up the gaps, and a model needs one piece."""
    gc.collect()
    low, high = 0, gc.mem_free()
    for _ in range(TRIES):
        size = (low + high + 1) // 2
        if _can_have(size):
            low = size
        else:
            high = size
        gc.collect()
    return low


def _can_have(size):
    # In a function of its own: what its frame pointed to is garbage when it returns.
    try:
        bytearray(size)
    except MemoryError:
        return False
    return True
