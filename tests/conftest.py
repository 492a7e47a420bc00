"""Makes new databases quickly, and puts long tests first. Prints, at the end of a test run, what
was not tested on this machine, and how to get it tested."""

from collections.abc import Iterator

import pytest

from tests import new_databases
from tests.tools import not_tested


@pytest.fixture(scope="session", autouse=True)
def _new_databases_are_made_quickly() -> Iterator[None]:
    with new_databases.made_quickly():
        yield


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long tests come first, as at the end one process would work on them alone."""
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.getreports("skipped")
    # A skipped test's report has (file, line, reason); pytest's own type says less.
    lines = not_tested(str(report.longrepr[2]) for report in skipped)
    terminalreporter.section("not tested")
    for line in lines:
        terminalreporter.write_line(line)
