"""Finds which tests go through which line, so that a mutant is first shown to those."""

import json
import os
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import coverage
import pytest

from tests.mutation.mutants import ROOT, Mutant
from tests.mutation.running import end, fork, run_tests


@dataclass(frozen=True)
class Covering:
    """`lines`: {file: {line: tests}}; `tests`: the files with all tests; `seconds`: their time."""

    lines: dict[str, dict[str, list[str]]]
    tests: list[str]
    seconds: float

    def of(self, mutant: Mutant) -> list[str]:
        """The tests that go through the mutant's line; all of them where it runs at the import."""
        return self.lines.get(mutant.path, {}).get(str(mutant.line)) or self.tests


class _Contexts:
    """Tells coverage which test runs."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self.measured = measured

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, None, None]:
        self.measured.switch_context(item.nodeid)
        yield
        self.measured.switch_context("")


def covering(paths: list[str], tests: list[str]) -> Covering:
    """Runs the tests without a mutant. Raises ValueError if one of them fails."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder, "lines.json")
        child = fork(lambda: _measure(paths, tests, found))
        try:
            code = os.waitpid(child, 0)[1]
        except BaseException:
            end(child)
            raise
        if code:
            raise ValueError(f"fails without a mutant: pytest {' '.join(tests)}")
        lines = json.loads(found.read_text())
    return Covering(lines, tests, time.monotonic() - begun)


def _measure(paths: list[str], tests: list[str], found: Path) -> int:
    files = [str(ROOT / path) for path in paths]
    measured = coverage.Coverage(data_file=None, include=files, config_file=False)
    measured.start()
    code = run_tests(tests, [_Contexts(measured)])
    measured.stop()
    lines = {}
    for path, file in zip(paths, files, strict=True):
        contexts = measured.get_data().contexts_by_lineno(file)
        lines[path] = {
            line: tests for line, one in contexts.items() if (tests := [*filter(None, one)])
        }
    found.write_text(json.dumps(lines))
    return code
