"""Runs measurements one after the other, and prints a table of figures and goals last."""

import argparse
import importlib
import time
import traceback
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.scale.row import Row

INTERRUPTED = 130  # as a shell says it of a program that Ctrl-C ended


class Measurement(NamedTuple):
    """`module` is imported only to be run, as each wants other packages and programs."""

    name: str
    about: str
    module: str


def run(
    program: str,
    about: str | None,
    measurements: Sequence[Measurement],
    arguments: Sequence[str] | None = None,
) -> int:
    """Runs those that the arguments name. Returns 1 if a goal is missed or a measurement failed;
    after Ctrl-C it prints the rows that there are."""
    options = _options(program, about, measurements, arguments)
    if options.list:
        for measurement in measurements:
            print(f"{measurement.name:16} {measurement.about}")
        return 0
    found: list[Row] = []
    failed: list[str] = []
    code = 0
    try:
        for measurement in measurements:
            if not options.names or measurement.name in options.names:
                _measure(measurement, options.long, found, failed)
    except KeyboardInterrupt:
        print("ended by Ctrl-C")
        code = INTERRUPTED
    _print_table(found, failed)
    return code or int(bool(failed) or not all(row.holds for row in found))


def _measure(measurement: Measurement, long: bool, found: list[Row], failed: list[str]) -> None:
    print(f"\n== {measurement.name}: {measurement.about}", flush=True)
    begun = time.monotonic()
    try:
        for row in importlib.import_module(measurement.module).rows(long):
            print(f"{row.what}: {row.detail}", flush=True)
            found.append(row)
    except Exception:  # the other measurements say something all the same
        traceback.print_exc()
        failed.append(measurement.name)
    print(f"{time.monotonic() - begun:.0f} s", flush=True)


def _options(
    program: str,
    about: str | None,
    measurements: Sequence[Measurement],
    arguments: Sequence[str] | None,
) -> argparse.Namespace:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog=program, description=about, formatter_class=form)
    parser.add_argument("names", nargs="*", metavar="NAME", help="all, if none is given")
    parser.add_argument("--long", action="store_true", help="the large or long ones too")
    parser.add_argument("--list", action="store_true", help="print the names")
    options = parser.parse_args(arguments)
    known = {measurement.name for measurement in measurements}
    if unknown := [name for name in options.names if name not in known]:
        parser.error(f"NAME: no {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    return options


def _print_table(found: Sequence[Row], failed: Sequence[str]) -> None:
    print("\n| what | figure | goal | holds |\n| --- | ---: | ---: | --- |")
    for row in found:
        print(row.text)
    for name in failed:
        print(f"| {name} | failed, see above | | NO |")
