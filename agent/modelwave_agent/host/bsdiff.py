"""Applies patches of bsdiff 4 (Colin Percival), as the package bsdiff4 makes them.

    32 bytes   "BSDIFF40", the packed bytes of the control, those of the difference, and the size of
               the new file, 8 bytes each
    then       control, difference and fresh bytes, each packed by bzip2

The control is a row of three numbers: add so many bytes of the difference to the old file's, take
so many fresh ones, move the place in the old file by the third. Numbers have 8 bytes, the lowest
first; the highest bit is the sign.

This is Python and not the package's C: a patch is not signed, and must not be able to do more than
to make wrong bytes. Memory is bounded, whatever the patch says.
"""

from typing import IO, TYPE_CHECKING

from modelwave_agent.intake import Intake
from modelwave_agent.patch import BadDelta

if TYPE_CHECKING:
    from modelwave_agent.types import Breathe

try:
    import bz2
except ImportError:  # a Python that was built without it
    HAS_BZ2 = False
else:
    HAS_BZ2 = True

MAGIC = b"BSDIFF40"
HEAD_BYTES = 32
NUMBER_BYTES = 8
PIECE_BYTES = 65536
_INPUT_BYTES = 4096
_SIGN = 1 << 63
MAX_IDLE_STEPS = 16  # in a row that make no byte: else a small patch could take for ever


def add(sums: memoryview, more: memoryview) -> None:
    """Adds each byte of `more` to that of `sums` at the same place. Two numbers with a byte of each
    pair are added at once, as large integers: a loop over bytes takes a hundred times longer."""
    count = len(sums)
    mask = int.from_bytes(b"\xff\x00" * (count // 2 + 1), "little")
    one, other = int.from_bytes(sums, "little"), int.from_bytes(more, "little")
    even = ((one & mask) + (other & mask)) & mask
    odd = (((one >> 8) & mask) + ((other >> 8) & mask)) & mask
    sums[:] = (even | odd << 8).to_bytes(count + 2, "little")[:count]


async def patch(delta: IO[bytes], old: IO[bytes], intake: Intake, breathe: "Breathe") -> None:
    """Writes to the intake what the patch makes of the file `old`. Raises BadDelta, TooLong,
    OSError."""
    head = delta.read(HEAD_BYTES)
    if len(head) < HEAD_BYTES or not head.startswith(MAGIC):
        raise BadDelta("it is no patch of bsdiff 4")
    control_bytes, difference_bytes, size = (_number(head[at : at + 8]) for at in (8, 16, 24))
    if min(control_bytes, difference_bytes) < 0 or size != intake.wanted:
        raise BadDelta("its head is wrong")
    control = _Unpacked(delta, HEAD_BYTES, control_bytes)
    difference = _Unpacked(delta, HEAD_BYTES + control_bytes, difference_bytes)
    fresh = _Unpacked(delta, HEAD_BYTES + control_bytes + difference_bytes, None)
    place = idle = 0
    while intake.offset < size:
        added, taken, move = (_number(control.read(NUMBER_BYTES)) for _ in range(3))
        idle = 0 if added or taken else idle + 1
        if min(added, taken) < 0 or idle > MAX_IDLE_STEPS:
            raise BadDelta("a step that makes nothing")
        for count, source, is_added in ((added, difference, True), (taken, fresh, False)):
            while count:
                piece = bytearray(source.read(min(count, PIECE_BYTES)))
                count -= len(piece)
                if is_added:
                    add(memoryview(piece), memoryview(_read(old, place, len(piece))))
                    place += len(piece)
                intake.write(memoryview(piece))
                await breathe()
        place += move


def _read(old: IO[bytes], place: int, count: int) -> bytes:
    """Reads of the old file; there are zeros outside of it, as in bsdiff."""
    before = min(max(0, -place), count)
    if place + before > 2**62:
        raise BadDelta("it reads far behind the end of the old file")
    old.seek(max(place, 0))
    return (bytes(before) + old.read(count - before)).ljust(count, b"\0")


def _number(data: bytes) -> int:
    number = int.from_bytes(data, "little")
    return _SIGN - number if number & _SIGN else number


class _Unpacked:
    """One of the three parts, unpacked no further than it is read."""

    def __init__(self, file: IO[bytes], start: int, count: int | None) -> None:
        """`count`: packed bytes; None: up to the end of the file."""
        self._file = file
        self._place = start
        self._end = None if count is None else start + count
        self._stream = bz2.BZ2Decompressor()

    def read(self, count: int) -> bytes:
        """Returns `count` bytes. Raises BadDelta if there are not so many."""
        found = bytearray()
        while len(found) < count:
            if self._stream.eof:
                raise BadDelta("it ends early")
            data = self._input() if self._stream.needs_input else b""
            try:
                found += self._stream.decompress(data, count - len(found))
            except (OSError, ValueError) as error:
                raise BadDelta(str(error)) from error
        return bytes(found)

    def _input(self) -> bytes:
        left = _INPUT_BYTES if self._end is None else min(_INPUT_BYTES, self._end - self._place)
        self._file.seek(self._place)
        data = self._file.read(max(left, 0))
        if not data:
            raise BadDelta("it ends early")
        self._place += len(data)
        return data
