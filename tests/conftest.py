"""Makes databases quickly, keeps the garbage collection from what stays, and puts long tests first.
Prints, at the end of a test run, what was not tested on this machine, and how to get it tested."""

import gc
from collections.abc import Iterator

import pytest

from tests import quick_databases
from tests.tools import not_tested


@pytest.fixture(scope="session", autouse=True)
def _databases_are_quick() -> Iterator[None]:
    with quick_databases.quick():
        yield


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long tests come first, as at the end one process would work on them alone."""
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)


def pytest_collection_finish() -> None:
    """What was collected stays to the end: no garbage collection is to look at it again."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.getreports("skipped")
    # A skipped test's report has (file, line, reason); pytest's own type says less.
    lines = not_tested(str(report.longrepr[2]) for report in skipped)
    terminalreporter.section("not tested")
    for line in lines:
        terminalreporter.write_line(line)
