"""Runs the sweeps in their long forms, one after the other, each as a command of its own, and ends
with one line. Exits with 1 if one of them found a fault, or did not come to its end.

    python -m tests.sweeps [SWEEP ...]
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterable

from tests.arguments import add_names
from tests.ending import INTERRUPTED, end_at_sigterm, was_sigterm

# {sweep: the module that runs it}; each ends with a line of what it did (docs/testing.md).
SWEEPS = {
    "disk": "tests.disk",
    "sqlite": "tests.disk.sqlite",
    "flash": "tests.board.sweep",
    "injected": "tests.inject",
    "histories": "tests.histories",
    "floods": "tests.day.floods",
    "day": "tests.day",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.sweeps", description="Run sweeps, long.")
    add_names(parser, "sweeps", SWEEPS, "sweep")
    names = parser.parse_args().sweeps or list(SWEEPS)
    said: dict[str, str] = {}
    good, is_ended = 0, False
    try:
        for name in names:
            print(f"\n== {name}", flush=True)
            code, said[name] = _run(SWEEPS[name])
            good += code == 0
    except KeyboardInterrupt:  # the sweep was interrupted, too, and has tidied up
        is_ended = True
        print("\nended by Ctrl-C")
    print()
    for name, line in said.items():
        print(f"{name:10} {line}")
    line = f"sweeps: {good} of {len(said)} without a fault"
    if is_ended:
        print(f"{line}; ended by Ctrl-C, {len(names) - len(said)} did not come to their end")
        return INTERRUPTED
    print(line)
    return int(good < len(names))


def _run(module: str) -> tuple[int, str]:
    """Runs one sweep; returns its exit code and its last line, with the minutes that it took."""
    begun = time.monotonic()
    command = [sys.executable, "-u", "-m", module]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            last = _passed_on(running.stdout)
        except KeyboardInterrupt:
            if was_sigterm():
                running.terminate()
            _passed_on(running.stdout)  # what it says of its end
            raise
    return running.returncode, f"{last} ({(time.monotonic() - begun) / 60:.0f} min)"


def _passed_on(lines: Iterable[str]) -> str:
    """Prints the lines, and returns the last one that is not empty."""
    last = ""
    for line in lines:
        print(line, end="", flush=True)
        last = line.strip() or last
    return last


if __name__ == "__main__":
    end_at_sigterm()
    sys.exit(main())
