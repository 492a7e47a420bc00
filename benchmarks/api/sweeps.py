"""The long forms of the API's tests: made-up requests, every role against every call, keys, live
readers, bounds, and a proxy. What they told of themselves (tests/web/figures.py) is in the
table."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.scale.row import Row
from tests.web.figures import told

ROOT = Path(__file__).parents[2]
END_SECONDS = 10
FILES = ("once", "live", "bounds", "matrix", "proxy", "schemathesis")
LEAST = {  # of each figure that the tests tell
    "requests that schemathesis made up": 1000,
    "roles against paths": 500,
}


def rows(long: bool) -> Iterator[Row]:
    found: dict[str, tuple[int, str]] = {}
    code = _run(found)
    yield Row("tests of the API that fail", float(code != 0), 0, "", f"pytest ended with {code}")
    for what, least in LEAST.items():
        number, detail = found.get(what, (0, "not told"))
        yield Row(what, number, least, "", detail, more_is_better=True)


def _run(found: dict[str, tuple[int, str]]) -> int:
    """Runs them in a process group of its own, and passes its output on."""
    command = [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", "--timeout=0"]
    with subprocess.Popen(
        [*command, *(f"tests/web/test_{name}.py" for name in FILES)],
        cwd=ROOT,
        env={**os.environ, "MODELWAVE_LONG": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if figure := told(line):
                    found[figure.what] = figure.number, figure.detail
                print(line, end="", flush=True)
            return process.wait()
        except BaseException:
            _end(process)
            raise


def _end(process: "subprocess.Popen[str]") -> None:
    """Ends pytest and what it started: as Ctrl-C would, and then for sure."""
    for number in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
