"""Folders of what tests make once in a process, and copy."""

import atexit
import shutil
import tempfile
from pathlib import Path


def folder() -> Path:
    """Returns a new folder, which is there until the process ends."""
    made = Path(tempfile.mkdtemp(prefix="modelwave-tests-"))
    atexit.register(shutil.rmtree, made)
    return made
