"""`rollout status`, `device show` and the first page of `device list`, on a large fleet beside a
small one. Both are in the middle of a rollout that judges what devices measure: the first stage, a
tenth of the fleet, has answered, and each device has sent four windows.

A figure is the time of the whole command, as an operator waits for it. The detail has the seconds,
and the memory of the process with the large fleet, the most that was resident."""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.scale.known_fleet import WINDOW_SECONDS, made
from benchmarks.scale.row import Row

from modelwave_controller.rollout.plan import Plan, make_plan

SMALL, LARGE = 100, 100_000  # devices
WINDOWS = 4
RUNS = 5
GOAL = 1.3

COMMANDS = {
    "rollout status": ("rollout", "status"),
    "device show": ("device", "show", "d7"),
    "device list, first page": ("device", "list", "--limit", "50"),
}


class Ran(NamedTuple):
    seconds: float
    megabytes: float  # the most that was resident


def rows(long: bool) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        homes = {devices: _home(Path(name) / str(devices), devices) for devices in (SMALL, LARGE)}
        for what, command in COMMANDS.items():
            yield _row(what, command, homes, RUNS * (3 if long else 1))


def _row(what: str, command: tuple[str, ...], homes: dict[int, Path], runs: int) -> Row:
    ran: dict[int, list[Ran]] = {devices: [] for devices in homes}
    for _ in range(runs):
        for devices, home in homes.items():
            ran[devices].append(_run(home, command))
    small, large = (median(one.seconds for one in ran[devices]) for devices in (SMALL, LARGE))
    most = max(one.megabytes for one in ran[LARGE])
    detail = f"{small:.2f} s at {SMALL}, {large:.2f} s and {most:.0f} MB at {LARGE:,} devices"
    return Row(f"{what}, {LARGE:,} devices against {SMALL}", large / small, GOAL, "×", detail)


def _run(home: Path, command: tuple[str, ...]) -> Ran:
    program = [sys.executable, "-m", "modelwave_controller", "--home", str(home), *command]
    begun = time.monotonic()
    process = os.posix_spawn(
        sys.executable,
        program,
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, status, used = os.wait4(process, 0)
    seconds = time.monotonic() - begun
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{' '.join(command)} failed")
    return Ran(seconds, used.ru_maxrss / 1024)


def _home(folder: Path, devices: int) -> Path:
    """Makes a home with so many devices, in the middle of a rollout."""
    world = made(folder, devices, judging(), windows=WINDOWS)
    world.store.close()
    return world.home.path


def judging() -> Plan:
    """A plan that stays in its first stage, with gates about what devices measure."""
    times = {"soak_seconds": 86_400, "deadline_seconds": 7 * 86_400}
    return make_plan(
        {
            "stages": [{"percent": 10} | times, {"percent": 100, "gates": []} | times],
            "trial": {"seconds": 1},
            "judge": {"window_seconds": WINDOW_SECONDS, "grace_seconds": 10},
            "gates": ["accuracy >= baseline - 0.05", "failures <= 0.5"],
        }
    )
