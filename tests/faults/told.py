"""A plugin of pytest: writes (outcome, node id) of each test to the file that the environment
names."""

import os

import pytest

FILE = "MODELWAVE_FAULTS_TOLD"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or report.outcome != "passed":
        with open(os.environ[FILE], "a") as file:
            file.write(f"{report.outcome} {report.nodeid}\n")
