"""`modelwave --help` beside a Python that does nothing."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import median

from benchmarks.scale.row import Row

RUNS = 7


def rows(long: bool) -> Iterator[Row]:
    """Yields the seconds of the user's own time that the command takes more. The runs of the two
    alternate, so that the machine's other work meets both."""
    commands = {
        "python": [sys.executable, "-c", "pass"],
        "modelwave": [sys.executable, "-m", "modelwave_controller", "--help"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(RUNS * (3 if long else 1)):
        for name, command in commands.items():
            seconds[name].append(_seconds(command))
    both = {name: median(found) for name, found in seconds.items()}
    detail = f"{both['modelwave']:.2f} s, python alone {both['python']:.2f} s"
    yield Row(
        "modelwave --help, more than python", both["modelwave"] - both["python"], 0.35, "s", detail
    )


def _seconds(command: list[str]) -> float:
    begun = time.monotonic()
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.monotonic() - begun
