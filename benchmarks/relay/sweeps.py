"""The long forms of the tests of gateways: the faults of a wire over a whole update, boards of real
MicroPython on a pty, boards by SMP and by commands with the power cut at each step, and hostile
boards and gateways. Each sweep says how many cases it had and how many were bad."""

import re
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
    "controller/test_gateway*.py",
    "controller/test_hostile_gateway*.py",
    "e2e/test_*gateway*.py",
    "e2e/test_relay*.py",
)
TOLD = re.compile(r"\.*(?P<what>[^:]+): (?P<cases>[\d,]+) cases, (?P<bad>\d+) (bad|with faults)")


def rows(long: bool) -> Iterator[Row]:
    found: list[tuple[str, int, int]] = []

    def hear(line: str) -> None:
        if told := TOLD.match(line):
            cases = int(told["cases"].replace(",", ""))
            found.append((told["what"].strip(), cases, int(told["bad"])))

    tests = long_tests.ROOT / "tests"
    files = sorted(str(path) for place in PLACES for path in tests.glob(place))
    code = long_tests.run(files, hear)
    yield Row("tests of gateways that fail", float(code != 0), 0, "", f"pytest ended with {code}")
    for what, cases, bad in found:
        yield Row(f"{what}, bad of {cases:,} cases", bad, 0, "")
