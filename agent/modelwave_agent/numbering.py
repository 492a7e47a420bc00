"""Numbers the documents that a device sends, so that the controller knows the newest and takes none
twice: the install id, the count of resets, and the number since the reset."""

import binascii
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.journal import Journal
    from modelwave_agent.ports import Clock
    from modelwave_agent.types import Document

INSTALL_BYTES = 8


class Numbering:
    """(boot, n) is greater in each document than in all earlier ones of this install."""

    def __init__(self, boots: "Journal", clock: "Clock") -> None:
        """`boots`: the device's own Journal, which counts its resets."""
        self.boots = boots
        self.clock = clock
        self.boot = 0
        self.install = ""  # "": none is durable
        self.n = 0  # number of the last document since the reset
        self.trouble = ""  # why the count of resets could not be written
        self.count_boot()

    def count_boot(self) -> None:
        """Counts this reset durably, and draws the install id of a new state folder, by which the
        controller knows that the numbers begin anew. Where that cannot be done, no id is reported
        but one that was durable before, and the documents go on as those of the reset before: they
        are numbered from the time on. So they come after its own, and the next reset's after them.
        Without a clock they have the number that the next reset will have, too."""
        try:
            record = self.boots.read("boot") or {"boot": 0}
            self.install = record.get("install", "")
            self.boot = max(self.boot, record["boot"])
            record["install"] = self.install or _drawn_install()
            record["boot"] = self.boot + 1
            self.boots.write(record)
            self.boot, self.install = record["boot"], record["install"]
            self.trouble = ""
        except OSError as error:
            wall = self.clock.wall()
            if wall is not None:
                self.n = max(self.n, wall)
            elif not self.trouble:
                self.boot += 1
            self.trouble = "state: %s" % error

    def numbered(self) -> "Document":
        """Begins a document with the next number."""
        self.n += 1
        found: "Document" = {"boot": self.boot, "n": self.n}
        if self.install:
            found["install"] = self.install
        return found


def _drawn_install() -> str:
    """Returns a random id, or "" on a board without a source of randomness."""
    if not hasattr(os, "urandom"):
        return ""
    return binascii.hexlify(os.urandom(INSTALL_BYTES)).decode()
