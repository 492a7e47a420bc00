"""Block devices in a file of the host, whose power goes at a chosen write or erase.

Both count each page that is programmed, each block that is erased and each sector that is
written. At operation `cut_at` the medium takes the damage of `mode`, and this process dies as
a board does: at once, by SIGKILL.

    lost     the operation did nothing
    half     its first half was done, the second not
    rot      all of it was done, and some bits of it read flipped
    garbage  what it should have changed holds anything
    whole    all of it was done

In the mode `told` nothing is cut. What happens is printed as it happens:

    {"operation": [AT, DATA]}   DATA in hex
    {"read": [UNIT, ...]}       what is read that this process has not read or written before, in
                                units of UNIT_BYTES. What it does is decided by these alone.
"""

import hashlib
import os

MODES = ("lost", "half", "rot", "garbage", "whole")
TOLD = "told"
UNIT_BYTES = 256
ROTTEN_BITS = 8


def left(mode: str, data: bytes, old: bytes, number: int) -> bytes:
    """What a cut leaves of the operation `number`, which puts `data` in the place of `old`. The
    same on both Pythons."""
    if mode == "garbage":
        return _noise(number, len(data))
    if mode == "rot":
        return _rotten(number, data)
    done = {"lost": 0, "half": len(data) // 2, "whole": len(data)}[mode]
    return data[:done] + old[done:]


def _rotten(seed: int, data: bytes) -> bytes:
    made = bytearray(data)
    drawn = _noise(seed, 4 * ROTTEN_BITS)
    for at in range(0, len(drawn), 4):
        bit = int.from_bytes(drawn[at : at + 4], "little") % (8 * len(made))
        made[bit // 8] ^= 1 << bit % 8
    return bytes(made)


def _noise(seed: int, count: int) -> bytes:
    """Bytes that look like any."""
    made = b""
    while len(made) < count:
        made += hashlib.sha256(b"%d %d" % (seed, len(made))).digest()
    return made[:count]


class Medium:
    """What both devices share. `path`: the image, as long as the device."""

    def __init__(self, path: str, cut_at: int = 0, mode: str = "lost") -> None:
        self.file = open(path, "r+b")  # noqa: SIM115 (it lives as long as the process)
        size = os.stat(path)[6]
        self.blocks = size // self.BLOCK_BYTES
        self.cut_at = cut_at
        self.mode = mode
        self.operations = 0
        self.known = bytearray(size // UNIT_BYTES) if mode == TOLD else None

    def put(self, at: int, data: bytes, old: bytes) -> None:
        """One operation: `data` takes the place of `old`, which stands `at` this byte."""
        self.operations += 1
        if self.known:
            print('{"operation": [%d, "%s"]}' % (at, data.hex()))
        if self.operations != self.cut_at:
            self._write(at, data)
            return
        self._write(at, left(self.mode, data, old, self.operations))
        print('{"cut": %d}' % at)
        os.system("kill -9 $PPID")

    def meet(self, at: int, count: int) -> None:
        """Tells what of these bytes the process meets for the first time."""
        if not self.known:
            return
        first = []
        for unit in range(at // UNIT_BYTES, (at + count + UNIT_BYTES - 1) // UNIT_BYTES):
            if not self.known[unit]:
                self.known[unit] = 1
                first.append(unit)
        if first:
            print('{"read": %s}' % first)

    def cover(self, at: int, count: int) -> None:
        """These bytes, whole units, are about to be written whatever they are."""
        if self.known:
            for unit in range(at // UNIT_BYTES, (at + count) // UNIT_BYTES):
                self.known[unit] = 1

    def read(self, at: int, count: int) -> bytes:
        self.file.seek(at)
        return self.file.read(count)

    def _write(self, at: int, data: bytes) -> None:
        self.file.seek(at)
        self.file.write(data)

    def ioctl(self, request: int, argument: int) -> "int | None":
        """As vfs.AbstractBlockDev: 4 asks for the blocks, 5 for the bytes of one."""
        return {4: self.blocks, 5: self.BLOCK_BYTES}.get(request, 0)


class Flash(Medium):
    """NOR flash as on an RP2040: blocks are erased to ones, pages are programmed, and
    programming can only clear bits."""

    BLOCK_BYTES = 4096
    PAGE_BYTES = 256

    def readblocks(self, block: int, buffer: bytearray, offset: int = 0) -> None:
        self.meet(block * self.BLOCK_BYTES + offset, len(buffer))
        self.file.seek(block * self.BLOCK_BYTES + offset)
        self.file.readinto(buffer)

    def writeblocks(self, block: int, buffer: bytearray, offset: int = 0) -> None:
        start = block * self.BLOCK_BYTES + offset
        self.meet(start, len(buffer))  # what is there counts: bits are only cleared
        for at in range(0, len(buffer), self.PAGE_BYTES):
            page = bytes(buffer[at : at + self.PAGE_BYTES])
            old = self.read(start + at, len(page))
            if old != b"\xff" * len(page):
                page = bytes(new & was for new, was in zip(page, old))
            self.put(start + at, page, old)

    def ioctl(self, request: int, argument: int) -> "int | None":
        if request != 6:
            return super().ioctl(request, argument)
        at = argument * self.BLOCK_BYTES
        self.cover(at, self.BLOCK_BYTES)
        self.put(at, b"\xff" * self.BLOCK_BYTES, self.read(at, self.BLOCK_BYTES))
        return 0


class Sectors(Medium):
    """An SD card, or flash under a layer that levels wear: sectors are written in place."""

    BLOCK_BYTES = 512

    def readblocks(self, block: int, buffer: bytearray) -> None:
        self.meet(block * self.BLOCK_BYTES, len(buffer))
        self.file.seek(block * self.BLOCK_BYTES)
        self.file.readinto(buffer)

    def writeblocks(self, block: int, buffer: bytearray) -> None:
        for index in range(len(buffer) // self.BLOCK_BYTES):
            at = index * self.BLOCK_BYTES
            start = block * self.BLOCK_BYTES + at
            sector = bytes(buffer[at : at + self.BLOCK_BYTES])
            self.cover(start, self.BLOCK_BYTES)
            self.put(start, sector, self.read(start, len(sector)))
