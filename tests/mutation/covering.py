"""Finds which tests go through which line, so that a mutant is first shown to those, and which of
them are quick, so that the others are run only where these notice nothing."""

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
    """`lines`: {file: {line: tests}}; `took`: {test: seconds}, the quickest first."""

    lines: dict[str, dict[str, list[str]]]
    took: dict[str, float]

    def of(self, mutant: Mutant) -> list[str]:
        """The tests that go through the mutant's line, the quickest first; all of them where it
        runs at the import."""
        through = self.lines.get(mutant.path, {}).get(str(mutant.line), ())
        return [test for test in self.took if test in through] or list(self.took)

    def others(self, mutant: Mutant) -> list[str]:
        """The tests that do not go through the mutant's line, the quickest first."""
        through = self.of(mutant)
        return [test for test in self.took if test not in through]

    def seconds(self, tests: list[str]) -> float:
        """What these tests take without a mutant."""
        return sum(self.took[test] for test in tests)


class _Contexts:
    """Tells coverage which test runs, and notes how many seconds it takes."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self.measured = measured
        self.took: dict[str, float] = {}

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, None, None]:
        self.measured.switch_context(item.nodeid)
        begun = time.monotonic()
        yield
        self.took[item.nodeid] = time.monotonic() - begun
        self.measured.switch_context("")


def covering(paths: list[str], tests: list[str]) -> Covering:
    """Runs the tests without a mutant. Raises ValueError if one of them fails."""
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
        lines, took = json.loads(found.read_text())
    return Covering(lines, dict(sorted(took.items(), key=lambda one: one[1])))


def _measure(paths: list[str], tests: list[str], found: Path) -> int:
    files = [str(ROOT / path) for path in paths]
    measured = coverage.Coverage(data_file=None, include=files, config_file=False)
    measured.start()
    contexts = _Contexts(measured)
    code = run_tests(tests, [contexts])
    measured.stop()
    lines = {}
    for path, file in zip(paths, files, strict=True):
        known = measured.get_data().contexts_by_lineno(file)
        lines[path] = {
            line: tests for line, one in known.items() if (tests := [*filter(None, one)])
        }
    found.write_text(json.dumps([lines, contexts.took]))
    return code
