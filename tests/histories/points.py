"""Counts the commits and publishes of a history, and forks another history at each: there the
service is killed.

The fork has everything as it was at that moment. The killed service's frames stay where they are
in it: nothing of them runs any more, as no `finally` of a killed process does.
"""

import contextlib
import gc
import json
import os
import shutil
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.histories import engines, model
from tests.histories.broker import Troubles
from tests.histories.courses import COURSES
from tests.histories.fleet import start
from tests.histories.life import simulated
from tests.histories.world import World

ENDED_SECONDS = 3600  # a history that takes longer goes round in circles

_forks: list[int] = []  # the process that this one waits for


class Kill(NamedTuple):
    """Where a history kills the service: at point `at`, from 1, and `more` points after its restart
    once more, if not 0."""

    at: int
    more: int


class Ended(NamedTuple):
    """The end of a history: where its service was killed, how often, and what is wrong."""

    kill: Kill
    point: str
    kills: int
    problems: list[str]


def play(
    course: str,
    seed: int,
    chosen: Callable[[int], list[int]],
    ended: Callable[[Ended], None],
    troubles: Troubles = Troubles(),
) -> int:
    """Plays a history without a kill, and at each of its points those that `chosen` wants: it
    returns `more` of each. `ended` is told the end of each. Returns the number of points."""
    folder = Path(tempfile.mkdtemp(prefix="history-", dir=start().folder))
    numbers = 0

    def passes(point: str) -> None:
        nonlocal numbers
        numbers += 1
        for more in chosen(numbers):
            kills, problems = _forked(world, folder, more)
            ended(Ended(Kill(numbers, more), point, kills, problems))

    try:
        world = World(start(), folder, COURSES[course], seed, troubles, passes)
        with simulated(world.clock), engines.shared(), collected_once():
            world.live()
        ended(Ended(Kill(0, 0), "", 0, model.problems(world)))
        world.close()
    finally:
        shutil.rmtree(folder)
    return numbers


@contextlib.contextmanager
def collected_once() -> Iterator[None]:
    """Python looks for values that refer to each other at the end only: in a fork that would copy
    all of its memory."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _forked(world: World, folder: Path, more: int) -> tuple[int, list[str]]:
    """Kills the service of `world` in a copy of this process. Returns how often it was killed
    there, and what was wrong at the end."""
    reading, writing = os.pipe()
    place = folder / "fork"
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.close(reading)
        signal.alarm(ENDED_SECONDS)
        _end_in(world, place, more, writing)
    os.close(writing)
    _forks.append(pid)
    try:
        with os.fdopen(reading) as told:
            text = told.read()
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        _, status = os.waitpid(pid, 0)
        _forks.clear()
    shutil.rmtree(place, ignore_errors=True)
    if not text:
        return 1, [f"its process ended with {os.waitstatus_to_exitcode(status)}"]
    kills, problems = json.loads(text)
    return kills, problems


def end_all(*_: object) -> None:
    """Ends this process, and what it has forked, at once."""
    for pid in _forks:
        os.kill(pid, signal.SIGKILL)
    os._exit(1)


def _end_in(world: World, place: Path, more: int, writing: int) -> None:
    """Goes on with a killed service to the end, tells it, and ends this process."""
    kills = 0

    def kill() -> None:
        nonlocal kills
        kills += 1
        world.passes = countdown(more, kill) if kills == 1 and more else lambda _point: None
        try:
            world.kill()
            found = model.problems(world)
        except BaseException:
            found = [traceback.format_exc()]
        with os.fdopen(writing, "w") as told:
            json.dump((kills, found), told)
        os._exit(0)

    world.folder = place
    kill()


def countdown(number: int, do: Callable[[], None]) -> Callable[[str], None]:
    def passes(_point: str) -> None:
        nonlocal number
        number -= 1
        if number == 0:
            do()

    return passes
