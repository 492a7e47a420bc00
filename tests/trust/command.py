"""`make trust`: runs the sweeps of sweeps.py one after the other, and prints their figures last. It
ends with 1 if one failed or told no figures. After Ctrl-C it prints the figures that there are.

    python -m tests.trust [NAME …]      some of them
    python -m tests.trust --list        their names
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.arguments import add_names
from tests.ending import INTERRUPTED
from tests.trust.figures import told
from tests.trust.sweeps import SWEEPS, Sweep

ROOT = Path(__file__).resolve().parents[2]
END_SECONDS = 10


class Result(NamedTuple):
    sweep: Sweep
    code: int  # pytest's
    seconds: float
    figures: tuple[str, ...]

    @property
    def verdict(self) -> str:
        if self.code == INTERRUPTED:
            return "INTERRUPTED"
        if self.code:
            return "FAILED"
        return "ok" if self.figures else "NO FIGURES"


def run_sweep(sweep: Sweep) -> Result:
    """Runs a sweep in a process group of its own, and passes its output on."""
    # A test's own time limit is that of an ordinary run.
    command = [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", "--timeout=0"]
    begin = time.monotonic()
    figures: list[str] = []
    with subprocess.Popen(
        [*command, *sweep.tests],
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
                if words := told(line):
                    figures.append(words)
                print(line, end="", flush=True)
            code = process.wait()
        except KeyboardInterrupt:
            _end(process)
            code = INTERRUPTED
    return Result(sweep, code, time.monotonic() - begin, tuple(figures))


def _end(process: "subprocess.Popen[str]") -> None:
    """Ends pytest and what it started: as Ctrl-C would, and then for sure."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would disturb the end
    for number in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)


def main(
    arguments: Sequence[str] | None = None,
    sweeps: Sequence[Sweep] = SWEEPS,
    run: Callable[[Sweep], Result] = run_sweep,
) -> int:
    options = _options(arguments, sweeps)
    if options.list:
        for sweep in sweeps:
            print(f"{sweep.name:16} {sweep.about}")
        return 0
    wanted = [sweep for sweep in sweeps if not options.names or sweep.name in options.names]
    done: list[Result] = []
    for sweep in wanted:
        print(f"\n== {sweep.name}: {sweep.about}", flush=True)
        done.append(run(sweep))
        if done[-1].code == INTERRUPTED:
            break
    print_figures(done)
    left = [sweep.name for sweep in wanted[len(done) :]]
    if done[-1].code == INTERRUPTED:
        names = " ".join([done[-1].sweep.name, *left])
        print(f'ended by Ctrl-C; to go on: make trust SWEEPS="{names}"')
        return INTERRUPTED
    return int(any(result.verdict != "ok" for result in done))


def _options(arguments: Sequence[str] | None, sweeps: Sequence[Sweep]) -> argparse.Namespace:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m tests.trust", description=__doc__, formatter_class=form
    )
    add_names(parser, "names", sorted(sweep.name for sweep in sweeps), "sweep")
    parser.add_argument("--list", action="store_true", help="print the names of the sweeps")
    return parser.parse_args(arguments)


def print_figures(done: Sequence[Result]) -> None:
    print("\n== figures")
    for result in done:
        print(f"{result.sweep.name:16} {result.verdict}, {result.seconds:.0f} s")
        for words in result.figures:
            print(f"{'':16}   {words}")
