"""Programs that tests borrow from the system; a test that misses one says so and is skipped."""

import os
import shutil
from collections import Counter
from collections.abc import Iterable

import pytest

MOSQUITTO_MISSING = "mosquitto is not installed: apt install mosquitto"
POSTGRESQL_MISSING = "PostgreSQL is not installed: apt install postgresql"
LONG_SWEEPS = "the long sweeps, of which each took a part of its cases: make test-long"


def needed(program: str) -> str:
    """The path of `program`, which Debian has in a package of the same name."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed: apt install {program}")
    return path


def not_tested(reasons: Iterable[str]) -> list[str]:
    """What a run left out, a line for each reason that tests were skipped for."""
    counted = Counter(" ".join(reason.removeprefix("Skipped: ").split()) for reason in reasons)
    lines = [
        f"{count} {'test' if count == 1 else 'tests'}: {reason}"
        for reason, count in counted.most_common()
    ]
    if os.environ.get("MODELWAVE_LONG") != "1":
        lines.append(LONG_SWEEPS)
    return lines
