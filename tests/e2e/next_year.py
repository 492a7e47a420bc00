"""Programs that are one format version ahead: a copy of the sources with a few lines changed, for
hosts and boards."""

from pathlib import Path
from shutil import copytree

from tests.e2e.conftest import REPO
from tests.e2e.other_programs import Program

ROOTS = ("shared", "agent", "controller")
WORDS = "shared/modelwave_shared/words.py"
READS_TWO_FORMATS = (WORDS, "MANIFEST: 2, ORDER: 2,", "MANIFEST: 3, ORDER: 3,")
WRITES_THE_SECOND = (WORDS, "WRITES = {MANIFEST: 1, ORDER: 1,", "WRITES = {MANIFEST: 3, ORDER: 3,")
SIGNS_MORE = (
    "controller/modelwave_controller/trust/documents.py",
    "return document | (",
    'return document | {"extra": {"site": "north", "battery": {"least_percent": 20}}} | (',
)
SAYS_MORE = (
    "agent/modelwave_agent/numbering.py",
    '{"boot": self.boot, "n": self.n}',
    '{"boot": self.boot, "n": self.n, "extra": {"mood": "good"}}',
)


class NextYear(Program):
    def __init__(self, folder: Path, *changes: tuple[str, str, str]) -> None:
        """`changes`: (file, what stands there today, what will)."""
        for root in ROOTS:
            copytree(REPO / root, folder / root)
        for name, old, new in changes:
            text = (folder / name).read_text()
            assert text.count(old) == 1, (name, old)
            (folder / name).write_text(text.replace(old, new))
        super().__init__(*(folder / root for root in ROOTS))
