"""The long forms of the tests of gateways: the faults of a wire over a whole update, boards of real
MicroPython on a pty, boards by SMP and by commands with the power cut at each step, and hostile
boards and gateways. Each sweep says how many cases it had and how many were bad."""

import re
from collections import Counter
from collections.abc import Iterator

from benchmarks import long_tests
from benchmarks.scale.row import Row

PLACES = (
    "core/test_line*.py",
    "core/test_serial*.py",
    "agent/test_line*.py",
    "agent/test_relay*.py",
    "agent/test_carried*.py",
    "agent/test_smp*.py",
    "agent/test_hostile_gateway*.py",
    "controller/test_gateway*.py",
    "controller/test_hostile_gateway*.py",
    "e2e/test_*gateway*.py",
    "e2e/test_relay*.py",
    "e2e/test_flashed*.py",
    "e2e/test_mcuboot*.py",
)
FILE = re.compile(r"tests/\w+/test_(?P<name>\w+)\.py ")
TOLD = re.compile(r"(?P<cases>[\d,]+) cases, (?P<bad>\d+) (bad|with faults)")


class Counted:
    """The cases of each file of tests, and how many of them were bad."""

    def __init__(self) -> None:
        self.name = ""
        self.cases: Counter[str] = Counter()
        self.bad: Counter[str] = Counter()

    def hear(self, line: str) -> None:
        if file := FILE.match(line):
            self.name = file["name"]
        if told := TOLD.search(line):
            self.cases[self.name] += int(told["cases"].replace(",", ""))
            self.bad[self.name] += int(told["bad"])


def rows(long: bool) -> Iterator[Row]:
    counted = Counted()
    tests = long_tests.ROOT / "tests"
    files = sorted(str(path) for place in PLACES for path in tests.glob(place))
    code = long_tests.run(files, counted.hear)
    yield Row("tests of gateways that fail", float(code != 0), 0, "", f"pytest ended with {code}")
    for name, cases in counted.cases.items():
        yield Row(f"{name}, bad of {cases:,} cases", counted.bad[name], 0, "")
