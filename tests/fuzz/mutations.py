"""Changes of bytes at random, where no fuzzer does it."""

from random import Random


def changed_bytes(data: bytes, other: bytes, draw: Random) -> bytes:
    """Returns other bytes in some places, fewer or doubled ones, or an end of another input."""
    at, end = sorted(draw.randrange(len(data) + 1) for _ in range(2))
    kind = draw.randrange(4)
    if kind == 0:
        return data[:at] + other[draw.randrange(len(other) + 1) :]
    if kind == 1:
        return data[:at] + data[end:]
    if kind == 2:
        return data[:end] + data[at:]
    return data[:at] + draw.randbytes(draw.randrange(1, 5)) + data[at + 1 :]
