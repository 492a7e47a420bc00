"""How large the database of a fleet is after each month of a year, in compressed time: the file of
SQLite, with heartbeats, windows of some devices, and rollouts, of which each sixth is reverted
(tests/controller/fleet_year.py says what is thinned, and why the size is the same).

Answers are kept for 90 days, so from the fifth month on the file may not grow: the largest of these
months is compared with the smallest. At the end the counters are compared with those of a recount,
and each rollout's status with what it was when it was over."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.scale.row import Row

sys.path.append(str(Path(__file__).parents[2] / "tests" / "controller"))

from fleet_year import FleetYear, Measured, Plan

GOAL = 1.2
MONTH = 30
SHORT = Plan(
    devices=500,
    reporting=50,
    days=365,
    rollouts=50,
    keep_days=90,
    observing=10,
    beats_each=30,
    measured_each=MONTH,
)
LONG = SHORT._replace(devices=10_000, reporting=200, observing=50)


def rows(long: bool) -> Iterator[Row]:
    plan = LONG if long else SHORT
    print("| day | MB | answers in the log | other events | windows, hours and days | rollouts |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    with tempfile.TemporaryDirectory() as name, closing(FleetYear(Path(name), "", plan)) as year:
        found = year.run(_tell)
        year.require_the_rest()
    sizes = [one.bytes for one in found if one.day > 5 * MONTH]
    what = f"database in the months after retention has set in, {plan.devices:,} devices"
    detail = f"{min(sizes) / 1e6:,.1f} to {max(sizes) / 1e6:,.1f} MB, {plan.rollouts} rollouts"
    yield Row(what, max(sizes) / min(sizes), GOAL, "×", detail)


def _tell(one: Measured) -> None:
    numbers = (one.answers, one.others, one.windows, one.rollouts)
    cells = " | ".join(f"{number:,}" for number in numbers)
    print(f"| {one.day} | {one.bytes / 1e6:.1f} | {cells} |", flush=True)
