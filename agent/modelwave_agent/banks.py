"""The two banks of one model, as files: `a.model`, `a.golden`, `a.labels`, `b.model`, …

A file's length is the only offset of a download. What a bank holds is the journal's to
say; a bank alone proves nothing until its files were hashed.
"""

import os

from modelwave_shared.words import FILE_ROLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.intake import Intake
    from modelwave_agent.types import Document

NAMES = "ab"
# A bank that fills the medium would leave the journal no room: littlefs copies a block
# before it writes to it. Three files rounded up, two journals and their folders.
RESERVE_BLOCKS = 8


class Banks:
    """Raises OSError as the files do."""

    def __init__(self, folder: str, limit_bytes: int = 0) -> None:
        """`folder` exists. `limit_bytes`: what one bank may hold, 0 for what is free."""
        self.folder = folder
        self.limit_bytes = limit_bytes

    def path(self, bank: int, role: str) -> str:
        return "%s/%s.%s" % (self.folder, NAMES[bank], role)

    def size(self, bank: int, role: str) -> int:
        """Bytes that the file has; 0 where there is none."""
        try:
            return os.stat(self.path(bank, role))[6]
        except OSError:
            return 0

    def room(self, bank: int) -> int:
        """Bytes that `bank` could hold once it is cleared, RESERVE_BLOCKS left alone."""
        try:
            stat = os.statvfs(self.folder)
        except OSError:
            return 0  # nothing can be kept on a medium that does not answer
        # f_frsize × f_bavail: the same places of the tuple on both Pythons.
        free = stat[1] * (stat[4] - RESERVE_BLOCKS)
        room = max(0, free + sum(self.size(bank, role) for role in FILE_ROLES))
        return min(room, self.limit_bytes) if self.limit_bytes else room

    def clear(self, bank: int) -> None:
        """Empties it; what comes next is written to new files."""
        for role in FILE_ROLES:
            try:
                os.remove(self.path(bank, role))
            except OSError:
                if self.size(bank, role):
                    raise

    def intake(self, bank: int, entry: "Document") -> "Intake":
        """Opens the file of `entry`, one of the manifest's files, to go on where it ends."""
        from modelwave_agent.intake import Intake

        return Intake(self.path(bank, entry["role"]), self.size(bank, entry["role"]), entry)
