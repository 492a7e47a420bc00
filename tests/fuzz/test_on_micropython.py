"""Boards make of each input that was found what hosts make of it."""

from pathlib import Path
from random import Random

import pytest

from tests import micropython
from tests.fuzz import verdicts
from tests.fuzz.mutations import changed_bytes
from tests.fuzz.targets import TARGETS

CHANGED = 60  # of each target
MAX_BYTES = 4096

pytestmark = pytest.mark.slow


def test_verdicts_on_micropython_are_the_same(tmp_path: Path) -> None:
    cases = list(_cases())
    file = tmp_path / "cases"
    file.write_text("".join(f"{name} {data.hex()}\n" for name, data in cases))
    program = Path(verdicts.__file__)
    done = micropython.run(tmp_path, program, file, heap="4m")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    here = [verdicts.verdict(name, data) for name, data in cases]
    for (name, data), theirs, ours in zip(cases, done.stdout.splitlines(), here, strict=True):
        assert theirs == ours, (name, data)
    for name in verdicts.READERS:
        its = {told == "refused" for (one, _), told in zip(cases, here, strict=True) if one == name}
        assert its == {True, False}, name


def _cases():  # type: ignore[no-untyped-def]
    for name in verdicts.READERS:
        draw = Random(name)
        inputs = [*TARGETS[name].seeds(), *TARGETS[name].kept()]
        for data in inputs:
            yield name, data[:MAX_BYTES]
        for _ in range(CHANGED):
            yield name, changed_bytes(draw.choice(inputs), draw.choice(inputs), draw)[:MAX_BYTES]
