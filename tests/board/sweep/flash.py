"""Block devices in a file of the host, whose power goes at a chosen write or erase.

Both count each page that is programmed, each block that is erased and each sector that is
written. At operation `cut_at` the medium takes the damage of `mode`, and this process dies as
a board does: at once, by SIGKILL. In the mode `told` nothing is cut: each operation is printed as
{"operation": [AT, DATA, {mode: what a cut would leave there}]}, in hex.

    lost     the operation did nothing
    half     its first half was done, the second not
    garbage  what it should have changed holds anything
"""

import json
import os
import random

MODES = ("lost", "half", "garbage")
TOLD = "told"


class Medium:
    """What both devices share. `path`: the image, as long as the device."""

    def __init__(self, path: str, cut_at: int = 0, mode: str = "lost") -> None:
        self.file = open(path, "r+b")  # noqa: SIM115 (it lives as long as the process)
        self.blocks = os.stat(path)[6] // self.BLOCK_BYTES
        self.cut_at = cut_at
        self.mode = mode
        self.operations = 0

    def put(self, at: int, data: bytes, old: bytes) -> None:
        """One operation: `data` takes the place of `old`, which stands `at` this byte."""
        self.operations += 1
        if self.mode == TOLD:
            left = {mode: self._left(mode, data, old).hex() for mode in MODES}
            print(json.dumps({"operation": [at, data.hex(), left]}))
        if self.operations != self.cut_at:
            self._write(at, data)
            return
        self._write(at, self._left(self.mode, data, old))
        print('{"cut": %d}' % at)
        os.system("kill -9 $PPID")

    def _left(self, mode: str, data: bytes, old: bytes) -> bytes:
        """What stands there after a cut."""
        if mode == "garbage":
            random.seed(self.operations)
            return bytes(random.getrandbits(8) for _ in range(len(data)))
        half = len(data) // 2 if mode == "half" else 0
        return data[:half] + old[half:]

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
        self.file.seek(block * self.BLOCK_BYTES + offset)
        self.file.readinto(buffer)

    def writeblocks(self, block: int, buffer: bytearray, offset: int = 0) -> None:
        start = block * self.BLOCK_BYTES + offset
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
        self.put(at, b"\xff" * self.BLOCK_BYTES, self.read(at, self.BLOCK_BYTES))
        return 0


class Sectors(Medium):
    """An SD card, or flash under a layer that levels wear: sectors are written in place."""

    BLOCK_BYTES = 512

    def readblocks(self, block: int, buffer: bytearray) -> None:
        self.file.seek(block * self.BLOCK_BYTES)
        self.file.readinto(buffer)

    def writeblocks(self, block: int, buffer: bytearray) -> None:
        for index in range(len(buffer) // self.BLOCK_BYTES):
            at = index * self.BLOCK_BYTES
            start = block * self.BLOCK_BYTES + at
            sector = bytes(buffer[at : at + self.BLOCK_BYTES])
            self.put(start, sector, self.read(start, len(sector)))
