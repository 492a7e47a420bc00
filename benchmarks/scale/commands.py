"""`rollout status`, `device show` and the first page of `device list`, on a large fleet beside a
small one. Both are in the middle of a rollout: the first stage, a tenth of the fleet, has answered.

A figure is the time of the whole command, as an operator waits for it. The detail has the seconds,
and the memory of the process with the large fleet, the most that was resident."""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.scale.row import Row

sys.path.append(str(Path(__file__).parents[2] / "tests" / "controller"))

from rollout_world import FLEET, World, quick

from modelwave_controller.rollout.slot_sets import numbers_in
from modelwave_shared.slots import slot as slot_of
from modelwave_shared.words import SUCCEEDED

SMALL, LARGE = 100, 100_000  # devices
AT_ONCE = 5000  # devices that report together
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
    folder.mkdir()
    with closing(World(folder)) as world:
        world.now = time.time()
        for _ in range(0, devices, AT_ONCE):
            world.add(min(AT_ONCE, devices))
        world.shelve(1)
        world.start(1, quick(10, 100, stage={"soak_seconds": 3600, "deadline_seconds": 7200}))
        world.tick()
        _answer(world)
        world.tick()
        return world.home.path


def _answer(world: World) -> None:
    """All devices that the first stage is for succeed with its order, which is one for all."""
    [rollout] = world.state().rollouts.values()
    slots = {n for order in rollout.stages[0].orders for n in numbers_in(order.slots)}
    asked = [one for one in world.devices.values() if slot_of(FLEET, one.name) in slots]
    order = world.ordered(asked[0])
    assert order is not None, "the first stage has opened"
    for device in asked:
        device.take(order, SUCCEEDED)
    for start in range(0, len(asked), AT_ONCE):
        world.hear(asked[start : start + AT_ONCE])
