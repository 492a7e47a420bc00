"""Files for readers that want a path. They are gone when the process ends, or when command.py has
removed the folder that it gave to it."""

import os
import tempfile
from functools import cache
from pathlib import Path

FOLDER = "FUZZ_FOLDER"  # of the environment: where a process of command.py makes its folders
MEMORY = Path("/dev/shm")

_kept: list["tempfile.TemporaryDirectory[str]"] = []


def place() -> Path | None:
    """Where folders are made: in memory, where the system has such a place."""
    given = os.environ.get(FOLDER)
    if given:
        return Path(given)
    return MEMORY if os.access(MEMORY, os.W_OK) else None


@cache
def folder(name: str) -> Path:
    """A folder of this process, the same for the same name."""
    _kept.append(tempfile.TemporaryDirectory(prefix=f"modelwave-fuzz-{name}-", dir=place()))
    return Path(_kept[-1].name)


def put(name: str, data: bytes) -> Path:
    """Writes the file `name`, in a folder of its own."""
    path = folder(name) / name
    path.write_bytes(data)
    return path
