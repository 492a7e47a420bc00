"""Prints, at the end of a test run, what was not tested on this machine, and how to get it
tested."""

import pytest

from tests.tools import not_tested


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.getreports("skipped")
    # A skipped test's report has (file, line, reason); pytest's own type says less.
    lines = not_tested(str(report.longrepr[2]) for report in skipped)
    terminalreporter.section("not tested")
    for line in lines:
        terminalreporter.write_line(line)
