"""Runs the tests of the code for both Pythons on MicroPython too."""

import re

import pytest

from tests import micropython

RUNNER = micropython.ROOT / "tests" / "core" / "run.py"


@pytest.mark.slow
def test_core_on_micropython(tmp_path):
    done = micropython.run(tmp_path, RUNNER)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(r"[1-9][0-9]* passed, 0 failed", done.stdout.splitlines()[-1])


def test_runner_fails_when_a_module_cannot_be_imported(tmp_path):
    done = micropython.run(tmp_path, RUNNER, "test_that_is_not_there")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "0 passed, 1 failed"
