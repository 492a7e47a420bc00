"""The long forms of the API's tests: made-up requests, every role against every call, keys, live
readers, bounds, and a proxy. What they told of themselves (tests/web/figures.py) is in the
table."""

from collections.abc import Iterator

from benchmarks import long_tests
from benchmarks.scale.row import Row
from tests.web.figures import told

FILES = ("once", "live", "bounds", "matrix", "proxy", "schemathesis")
LEAST = {  # of each figure that the tests tell
    "requests that schemathesis made up": 1000,
    "roles against paths": 500,
}


def rows(long: bool) -> Iterator[Row]:
    found: dict[str, tuple[int, str]] = {}

    def hear(line: str) -> None:
        if figure := told(line):
            found[figure.what] = figure.number, figure.detail

    code = long_tests.run([f"tests/web/test_{name}.py" for name in FILES], hear)
    yield Row("tests of the API that fail", float(code != 0), 0, "", f"pytest ended with {code}")
    for what, least in LEAST.items():
        number, detail = found.get(what, (0, "not told"))
        yield Row(what, number, least, "", detail, more_is_better=True)
