"""Makes deltas: bytes from which a device makes a new file of an old one.

Kind 1 has the steps that agent/modelwave_agent/patch.py describes. They are found in two ways, and
the shorter delta counts: place by place, as fits a model that was fine-tuned; and by the alignment
that bsdiff finds, if parts of the file have moved. Kind 2 is a patch of bsdiff 4 as it is. Without
the package bsdiff4, and for large files, there are only the steps that are found place by place.
"""

import bz2
import itertools
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from modelwave_shared.deltas import BSDIFF, SUBTRACTED

# bsdiff takes 2.5 s for each MB, and 17 times its memory.
MAX_ALIGNED_BYTES = 8 * 2**20

# Steps of kind 1.
_PLUS, _MINUS, _OTHER, _LONG = 0x00, 0x40, 0x80, 0xC0
_COPY, _FRESH, _ADD, _MOVE = (_LONG + what for what in range(4))
_MOST = 0x3F  # bytes that a short step copies

# Of a part of which more bytes than this share differ, all differences are written: a step for each
# would take more. The shares are tried in turn.
_PART_BYTES = 512
_MOST_CHANGED = (1.0, 0.5, 0.0)
_WINDOW_BITS = 9  # 512 bytes
_SMALL_BYTES = 2**20  # up to which all of deflate's settings are tried
# Of bsdiff 4: the packed bytes of the control behind the head, and a step in it.
_HEAD = struct.Struct("<8xQ16x")
_STEP = struct.Struct("<QQQ")
_SIGN = 1 << 63
_CHANGED = re.compile(rb"[^\0]")


class Piece(NamedTuple):
    """`added` bytes of the new file are compared with the old file's from `old` on, then `fresh`
    bytes are taken as they are."""

    old: int
    added: int
    fresh: int


def deltas(old: bytes, new: bytes, reads: int = BSDIFF) -> dict[int, bytes]:
    """Returns the deltas by their kind, up to the kind `reads`."""
    same = min(len(old), len(new))
    ways = [[Piece(0, same, len(new) - same)]]
    found = {}
    if patch := _bsdiff(old, new):
        ways.append(list(_pieces(patch)))
        if reads >= BSDIFF:
            found[BSDIFF] = patch
    made = (
        bytes(itertools.chain.from_iterable(_steps(old, new, pieces, most)))
        for pieces in ways
        for most in _MOST_CHANGED
    )
    found[SUBTRACTED] = min((_deflated(steps) for steps in dict.fromkeys(made)), key=len)
    return found


def _bsdiff(old: bytes, new: bytes) -> bytes:
    """Returns the patch of bsdiff 4; b"" if there is none."""
    if max(len(old), len(new)) > MAX_ALIGNED_BYTES:
        return b""
    try:
        import bsdiff4
    except ImportError:
        return b""
    made: bytes = bsdiff4.diff(old, new)
    return made


def _pieces(patch: bytes) -> Iterator[Piece]:
    """Yields the pieces of a patch of bsdiff 4 (agent/modelwave_agent/host/bsdiff.py)."""
    control = bz2.decompress(patch[_HEAD.size : _HEAD.size + _HEAD.unpack_from(patch)[0]])
    place = 0
    for added, fresh, move in _STEP.iter_unpack(control):
        yield Piece(place, added, fresh)
        place += added + (_SIGN - move if move & _SIGN else move)


def _steps(old: bytes, new: bytes, pieces: Iterable[Piece], most: float) -> Iterator[bytes]:
    """Yields the steps of the delta; `most`: the share of _MOST_CHANGED."""
    place = made = copied = 0
    for piece in pieces:
        if piece.added and piece.old != place:
            yield _copy(copied)
            copied = 0
            distance = piece.old - place
            yield bytes([_MOVE]) + _number(2 * distance if distance >= 0 else -2 * distance - 1)
        end = made + piece.added
        place = piece.old + piece.added if piece.added else place
        differences = _difference(new[made:end], old[piece.old : piece.old + piece.added])
        for is_dense, part in _parts(differences, most):
            if is_dense:
                yield _copy(copied) + bytes([_ADD]) + _number(len(part)) + part
                copied = 0
            else:
                steps, copied = _sparse(part, copied)
                yield steps
        made = end + piece.fresh
        if piece.fresh:
            yield _copy(copied) + bytes([_FRESH]) + _number(piece.fresh) + new[end:made]
            copied = 0
    yield _copy(copied)


def _copy(count: int) -> bytes:
    return bytes([_COPY]) + _number(count) if count else b""


def _sparse(differences: bytes, copied: int) -> tuple[bytes, int]:
    """Returns the steps for differences of which most are 0, and how many zeros are at the end;
    `copied` are before them."""
    found, last = bytearray(), -copied
    for match in _CHANGED.finditer(differences):
        at, difference = match.start(), differences[match.start()]
        count, last = at - last, at + 1
        if count > _MOST:
            found += _copy(count)
            count = 0
        if difference == 1:
            found.append(_PLUS + count)
        elif difference == 0xFF:
            found.append(_MINUS + count)
        else:
            found += bytes([_OTHER + count, difference])
    return bytes(found), len(differences) - last


def _parts(differences: bytes, most: float) -> Iterator[tuple[bool, bytes]]:
    """Yields (is dense, part) of the differences; parts next to each other are not both dense, or
    both not."""

    def is_dense(at: int) -> bool:
        part = differences[at : at + _PART_BYTES]
        return len(part) - part.count(0) > most * len(part)

    starts = range(0, len(differences), _PART_BYTES)
    for kind, group in itertools.groupby(starts, is_dense):
        first, *rest = group
        end = (rest[-1] if rest else first) + _PART_BYTES
        yield kind, differences[first:end]


def _difference(new: bytes, old: bytes) -> bytes:
    """Returns new - old of each byte, modulo 256: pairs of bytes at once, as large integers."""
    count = len(new)
    mask = int.from_bytes(b"\xff\x00" * (count // 2 + 1), "little")
    carry = int.from_bytes(b"\x00\x01" * (count // 2 + 1), "little")
    one, other = int.from_bytes(new, "little"), int.from_bytes(old, "little")
    even = ((one & mask | carry) - (other & mask)) & mask
    odd = (((one >> 8) & mask | carry) - ((other >> 8) & mask)) & mask
    return (even | odd << 8).to_bytes(count + 3, "little")[:count]


def _number(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _deflated(data: bytes) -> bytes:
    """Returns the shortest raw deflate stream that zlib's settings give."""
    settings = [(8, 0), (9, 1)]
    if len(data) <= _SMALL_BYTES:
        settings = [(memory, strategy) for memory in range(4, 10) for strategy in range(4)]
    found = []
    for memory, strategy in settings:
        stream = zlib.compressobj(9, zlib.DEFLATED, -_WINDOW_BITS, memory, strategy)
        found.append(stream.compress(data) + stream.flush())
    return min(found, key=len)
