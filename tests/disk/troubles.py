"""Errors of a disk: one that passes, or one that stays until the power is cut."""

import errno
from typing import NamedTuple

from tests.disk.medium import Disk, fail

TIMES = 6
NEEDS_ROOM = ("make", "grow")
WRITES = (*NEEDS_ROOM, "write", "size", "sync", "forget", "rename")
READ_ONLY = (*WRITES, "open to write", "may write")
READS = ("read", "open")
UNENDED = ("the device never came to an end",)


class Trouble(NamedTuple):
    """`kinds`: the operations that fail."""

    name: str
    number: int
    kinds: tuple[str, ...]
    stays: bool

    def begin(self, disk: Disk, at: int) -> None:
        """The operation with this number fails; if it stays, all later ones of the kinds do."""
        count = -1

        def refuse(kind: str) -> None:
            nonlocal count
            count += 1
            if kind in self.kinds and (count == at or (self.stays and count > at)):
                raise fail(self.number)

        disk.refuse, disk.is_in_trouble, disk.is_hopeless = refuse, True, self.stays

    def explains(self, fault: str) -> bool:
        """Whether a fault of the life in which it stays is none: it cannot come to its end."""
        return self.stays and fault in UNENDED


TROUBLES = (
    Trouble("no space", errno.ENOSPC, NEEDS_ROOM, stays=False),
    Trouble("no space from then on", errno.ENOSPC, NEEDS_ROOM, stays=True),
    Trouble("an error of a write", errno.EIO, WRITES, stays=False),
    Trouble("errors of all writes", errno.EIO, WRITES, stays=True),
    Trouble("an error of a read", errno.EIO, READS, stays=False),
    Trouble("read-only", errno.EROFS, READ_ONLY, stays=True),
)


def full_at_first(disk: Disk) -> None:
    """The first files that are made find no room; later there is some."""
    left = [TIMES]

    def refuse(kind: str) -> None:
        if kind == "make" and left[0]:
            left[0] -= 1
            raise fail(errno.ENOSPC)

    disk.refuse = refuse
