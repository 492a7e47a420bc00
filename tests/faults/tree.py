"""A copy of the work tree, in which faults are put in and taken out again."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.faults.entries import TOP, Fault

PACKAGES = ("shared", "agent", "controller", ".")
# What git ignores and tests use, if it is there.
HELPERS = (".micropython", ".typings", ".axe", ".zephyr", ".models")
# So much later than the file is what has a fault: bytecode of before is not used then.
LATER_SECONDS = 1000


class Tree:
    def __init__(self, top: Path) -> None:
        self.top = top

    def environment(self, keeps_bytecode: bool) -> dict[str, str]:
        """Returns the variables for a program that runs what is in this tree. Bytecode is kept
        only of files without a fault."""
        ours = {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTEST_ADDOPTS", "MODELWAVE_LONG"}
        found = {name: value for name, value in os.environ.items() if name not in ours}
        if not keeps_bytecode:
            found["PYTHONDONTWRITEBYTECODE"] = "1"
        return {**found, "PYTHONPATH": os.pathsep.join(str(self.top / one) for one in PACKAGES)}

    @contextlib.contextmanager
    def having(self, fault: Fault) -> Iterator[None]:
        path = self.top / fault.file
        before, status = path.read_text(), path.stat()
        path.write_text(fault.changed(before))
        later = status.st_mtime + LATER_SECONDS
        os.utime(path, (later, later))
        try:
            yield
        finally:
            path.write_text(before)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    def copied(self, top: Path) -> "Tree":
        shutil.copytree(self.top, top, symlinks=True)
        return Tree(top)


def copy(top: Path, of: Path = TOP) -> Tree:
    """Copies what git knows, and what is new and not ignored; the helpers are linked."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=of, check=True, capture_output=True, text=True).stdout
    for name in listed.strip("\0").split("\0"):
        if (of / name).is_file():
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(of / name, top / name)
    for name in HELPERS:
        if (of / name).exists() and not (top / name).exists():
            (top / name).symlink_to((of / name).resolve())
    return Tree(top)
