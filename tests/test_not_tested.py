"""Tests that a run prints at its end what it did not test, and which package is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools import LONG_SWEEPS, not_tested

ROOT = Path(__file__).resolve().parents[1]
NEEDS_A_COMPILER = "tests/agent/test_host_accelerators.py"
SECONDS = 120


def test_without_a_compiler_the_run_names_its_package(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", NEEDS_A_COMPILER],
        cwd=ROOT,
        env={**os.environ, "PATH": str(tmp_path), "MODELWAVE_LONG": ""},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout
    said = done.stdout[done.stdout.index("not tested") :].splitlines()
    assert any(line.endswith("tests: gcc is not installed: apt install gcc") for line in said)
    assert LONG_SWEEPS in said


def test_a_reason_is_one_line_however_many_tests_it_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MODELWAVE_LONG", "1")
    assert not_tested([]) == []
    found = not_tested(["Skipped: no\n a", "b", "Skipped: no a"])
    assert found == ["2 tests: no a", "1 test: b"]
