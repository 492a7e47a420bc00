"""Deltas, which make a new model of the live one. They are not signed: what comes out is compared
with the hash that is."""

import bz2
import contextlib
import io
import struct
import zlib
from typing import Any

import bsdiff4

from modelwave_agent import patch
from modelwave_agent.host import bsdiff
from modelwave_agent.host.patcher import CHUNK_BYTES, Inflated
from modelwave_agent.intake import TooLong
from modelwave_agent.patch import BadDelta, Patch
from modelwave_shared.limits import MAX_BYTES
from tests.core.intakes import Taken
from tests.fuzz.judging import require_plain, run

OLD = bytes(range(256)) * 3
LONGEST = 4096  # bytes of the new file


async def _breathe() -> None: ...


def steps(data: bytes) -> bool:
    """Boards and hosts make the same of it, and as a third reader does it. The first two bytes say
    how long the new file is."""
    if len(data) < 2:
        return False
    size, rest = int.from_bytes(data[:2]) % LONGEST, data[2:]
    made = _made(rest, size, patch.add, patch.CHUNK_BYTES)
    assert made == _made(rest, size, bsdiff.add, CHUNK_BYTES)
    packed = zlib.compressobj(9, zlib.DEFLATED, -9)
    raw = packed.compress(rest) + packed.flush()
    assert made == _made(raw, size, bsdiff.add, CHUNK_BYTES, inflate=True)
    assert made == _by_reference(rest, size)
    return made is not None


def _made(data: bytes, size: int, add: Any, chunk: int, inflate: bool = False) -> bytes | None:
    taken = Taken(size)
    source: Any = Inflated(io.BytesIO(data)) if inflate else io.BytesIO(data)
    try:
        run(Patch(source, io.BytesIO(OLD), taken, _breathe, add, chunk).run())  # type: ignore[arg-type]
    except (BadDelta, TooLong) as error:
        require_plain(str(error))
        return None
    assert taken.offset == size
    return bytes(taken.data)


def _by_reference(data: bytes, size: int) -> bytes | None:
    """What patch.py says at its top, on whole values."""
    made, place, at, idle = bytearray(), 0, 0, 0
    try:
        while len(made) < size:
            step, before = data[at], len(made)
            kind, count, at = step >> 6, step & 63, at + 1
            if kind < 3:
                add = (1, 255)[kind] if kind < 2 else data[at]
                at += kind == 2
                piece = bytearray(_piece(OLD, place, count + 1))
                piece[-1] = (piece[-1] + add) & 255
                made += piece
                place += count + 1
            else:
                number, at = _number(data, at)
                if count == 0:
                    made += _piece(OLD, place, number)
                    place += number
                elif count == 1:
                    made += _piece(data, at, number)
                    at += number
                elif count == 2:
                    pairs = zip(_piece(OLD, place, number), _piece(data, at, number), strict=True)
                    made += bytes((one + other) & 255 for one, other in pairs)
                    place, at = place + number, at + number
                elif count == 3:
                    place += -(number + 1) // 2 if number & 1 else number // 2
                    if not 0 <= place <= MAX_BYTES:
                        return None
                else:
                    return None
            idle = idle + 1 if len(made) == before else 0
            if idle > patch.MAX_IDLE_STEPS:
                return None
    except IndexError:
        return None
    return bytes(made) if len(made) == size else None


def _piece(data: bytes, at: int, count: int) -> bytes:
    found = data[at : at + count]
    if len(found) < count:
        raise IndexError
    return found


def _number(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, patch.MAX_SHIFT + 1, 7):
        number |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return number, at
    raise IndexError


_HEAD, _ROW = struct.Struct(">HB"), struct.Struct(">hhh")
FAR = 1 << 40  # a step that is divisible by 7 is so many times as wide


def bsdiffs(data: bytes) -> bool:
    """The input is what a patch packs: the size of the new file, rows, and the bytes that they
    take. What we make of it is what the package bsdiff4 makes; it bears with more."""
    if len(data) < _HEAD.size:
        return False
    size, count = _HEAD.unpack_from(data)
    size %= LONGEST
    end = _HEAD.size + count % 32 * _ROW.size
    rows = list(_ROW.iter_unpack(data[_HEAD.size : end].ljust(end - _HEAD.size, b"\0")))
    delta = _packed(size, rows, data[end:])
    taken = Taken(size)
    try:
        run(bsdiff.patch(io.BytesIO(delta), io.BytesIO(OLD), taken, _breathe))  # type: ignore[arg-type]
    except (BadDelta, TooLong) as error:
        require_plain(str(error))
        return False
    assert taken.offset == size
    with contextlib.suppress(ValueError):
        assert bytes(taken.data) == bsdiff4.patch(OLD, delta)
    return True


def _packed(size: int, rows: list[tuple[int, int, int]], rest: bytes) -> bytes:
    """A patch; the differences are the rest from its begin on, the fresh bytes from its end."""
    steps = [(added, taken, move if move % 7 else move * FAR) for added, taken, move in rows]
    control = bz2.compress(b"".join(_signed(number) for row in steps for number in row), 1)
    difference = bz2.compress(rest, 1)
    head = b"".join(map(_signed, (len(control), len(difference), size)))
    return bsdiff.MAGIC + head + control + difference + bz2.compress(rest[::-1], 1)


def _signed(number: int) -> bytes:
    sign = 1 << 63 if number < 0 else 0
    return (abs(number) | sign).to_bytes(8, "little")


def steps_seeds() -> list[bytes]:
    def new(size: int, *parts: bytes) -> bytes:
        return size.to_bytes(2) + b"".join(parts)

    return [
        new(5, b"\3", b"\x40"),
        new(3, bytes((0x82, 254))),
        new(300, b"\xc0\xac\x02"),
        new(6, b"\xc1\x02ab", b"\xc3\x08", b"\xc2\x03\1\2\3", b"\0"),
        new(992, b"\xc0\xe8\x05", b"\xc3\xcf\x0b", b"\xc0\xf8\x01"),
    ]


def bsdiffs_seeds() -> list[bytes]:
    some = (
        _HEAD.pack(15, 3)
        + _ROW.pack(4, 2, 5)
        + _ROW.pack(6, 0, -3)
        + _ROW.pack(3, 0, 0)
        + bytes(range(1, 40))
    )
    return [some, _HEAD.pack(3, 1) + _ROW.pack(0, 3, 0) + b"abc"]
