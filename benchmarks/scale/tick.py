"""The service's tick with a rollout open, and its first tick after a restart, in a large fleet
beside a small one."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median

from benchmarks.scale.known_fleet import World, made, quick
from benchmarks.scale.row import Row

from modelwave_controller.service.reconcile import MAX_HEARD
from modelwave_controller.service.tick import Ticker
from modelwave_controller.storage.store import Store

SMALL, LARGE, LONG = 10_000, 100_000, 1_000_000
TICKS = 41
ANSWERED = 0.5  # of the devices, as the stage for all is open
DEADLINE_SECONDS = 7 * 86_400  # nothing is due meanwhile


def rows(long: bool) -> Iterator[Row]:
    many = LONG if long else LARGE
    with tempfile.TemporaryDirectory() as name:
        plan = quick(100, stage={"deadline_seconds": DEADLINE_SECONDS})
        worlds = {n: made(Path(name) / str(n), n, plan, ANSWERED) for n in (SMALL, many)}
        ticks = _ticks(worlds)
        what = f"tick with a rollout open, {many:,} known devices against {SMALL:,}"
        detail = f"{1000 * ticks[many]:.1f} ms, {1000 * ticks[SMALL]:.1f} ms"
        yield Row(what, ticks[many] / ticks[SMALL], 2, "×", detail)
        restarts = {number: _restart(world) for number, world in worlds.items()}
        what = f"service restart in the middle of a rollout, {many:,} devices"
        detail = f"to the end of its first tick; {restarts[SMALL]:.2f} s with {SMALL:,}"
        yield Row(what, restarts[many], 1, "s", detail)
        for world in worlds.values():
            world.store.close()


def _ticks(worlds: dict[int, World]) -> dict[int, float]:
    """Returns the median seconds of a tick of each; they alternate, so that the machine's other
    work meets both."""
    seconds: dict[int, list[float]] = {number: [] for number in worlds}
    for number, world in worlds.items():
        for _ in range(number // MAX_HEARD + 2):  # the first ones look at all devices once
            _tick(world)
    for _ in range(TICKS):
        for number, world in worlds.items():
            seconds[number].append(_tick(world))
    return {number: median(found) for number, found in seconds.items()}


def _tick(world: World) -> float:
    world.now += 0.5
    begun = time.perf_counter()
    assert not world.ticker.tick(world.now, world.now), "nothing was due"
    return time.perf_counter() - begun


def _restart(world: World) -> float:
    begun = time.perf_counter()
    with closing(Store(world.home.database_url)) as store:
        Ticker(store, world.issuer).tick(world.now + 1, 0.0)
        return time.perf_counter() - begun
