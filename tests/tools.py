"""Finds system programs that tests use; a test without its program is skipped with the reason."""

import os
import shutil
from collections import Counter
from collections.abc import Iterable

import pytest

MOSQUITTO_MISSING = "mosquitto is not installed: apt install mosquitto"
POSTGRESQL_MISSING = "PostgreSQL is not installed: apt install postgresql"
LONG_SWEEPS = "the long sweeps, of which each took a part of its cases: make test-long"


def needed(program: str, package: str = "") -> str:
    """Returns the path of `program`, which is in Debian's `package`, or in the one of its name."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed: apt install {package or program}")
    return path


def not_tested(reasons: Iterable[str]) -> list[str]:
    """Returns a line for each reason for which tests of a run were skipped."""
    counted = Counter(" ".join(reason.removeprefix("Skipped: ").split()) for reason in reasons)
    lines = [
        f"{count} {'test' if count == 1 else 'tests'}: {reason}"
        for reason, count in counted.most_common()
    ]
    if os.environ.get("MODELWAVE_LONG") != "1":
        lines.append(LONG_SWEEPS)
    return lines
