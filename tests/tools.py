"""Programs that tests borrow from the system; a test that misses one says so and is skipped."""

import shutil

import pytest


def needed(program: str) -> str:
    """The path of `program`, which Debian has in a package of the same name."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed: apt install {program}")
    return path
