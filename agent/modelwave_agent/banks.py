"""The two banks of one model, as files: `a.model`, `a.golden`, `a.labels`, `b.model`, …

A download continues at the file's length; no other offset is stored. The journal says what a
bank holds; the files themselves are trusted only after they were hashed.
"""

import os

from modelwave_agent.journal import file_length
from modelwave_shared.words import FILE_ROLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.intake import Intake
    from modelwave_agent.types import Document

NAMES = "ab"
DELTA = "delta"  # a file from which that of the model is made (delta.py); it stays for a while
# Blocks that a bank must leave free: littlefs copies a block before it changes it, so a full
# medium would stop the journal. Enough for three files rounded up, two journals, their folders.
RESERVE_BLOCKS = 8


class Banks:
    """The files of both banks. Methods raise OSError where a file operation fails."""

    def __init__(self, folder: str, limit_bytes: int = 0) -> None:
        """`folder` must exist. `limit_bytes`: most that one bank may hold; 0: all free space."""
        self.folder = folder
        self.limit_bytes = limit_bytes

    def path(self, bank: int, role: str) -> str:
        return "%s/%s.%s" % (self.folder, NAMES[bank], role)

    def size(self, bank: int, role: str) -> int:
        """Returns the file's length in bytes; 0 if there is no file."""
        return file_length(self.path(bank, role))

    def room(self, bank: int) -> int:
        """Returns how many bytes `bank` could hold after `clear`, with RESERVE_BLOCKS left free."""
        stat = os.statvfs(self.folder)
        held = sum(self.size(bank, role) for role in FILE_ROLES + (DELTA,))
        # f_frsize × f_bavail; both Pythons have them at these indexes of the tuple.
        room = max(0, stat[1] * (stat[4] - RESERVE_BLOCKS) + held)
        return min(room, self.limit_bytes) if self.limit_bytes else room

    def clear(self, bank: int) -> None:
        """Deletes the bank's files."""
        for role in FILE_ROLES + (DELTA,):
            self.remove(bank, role)

    def remove(self, bank: int, role: str) -> None:
        """Deletes one file of the bank, if it is there."""
        try:
            os.remove(self.path(bank, role))
        except OSError:
            if self.size(bank, role):
                raise

    def intake(self, bank: int, entry: "Document") -> "Intake":
        """Opens the bank's file for `entry` (a file of the manifest), to append at its end."""
        from modelwave_agent.intake import Intake

        return Intake(self.path(bank, entry["role"]), self.size(bank, entry["role"]), entry)
