"""Makes random histories, plays them, and shrinks one that breaks a rule."""

import asyncio
import functools
import logging
import random
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from modelwave_agent import download
from modelwave_controller.rollout import clock, events
from modelwave_controller.service import leader, readback
from modelwave_controller.storage import log
from modelwave_shared import ed25519
from tests.heal import loop
from tests.heal.controller import EXPIRED_SECONDS, GAP_SECONDS, TICK_SECONDS, has_ended
from tests.heal.devices import PowerCut, hash_file
from tests.heal.faults import KINDS, long
from tests.heal.fleet import fleet
from tests.heal.world import Violation, World

MAX_STEPS = 12
SHORT_SECONDS, LONG_SECONDS = 3, 7200  # between two steps


class Step(NamedTuple):
    """Something happens, and then `wait` seconds pass."""

    kind: str
    given: tuple
    wait: int


class Outcome(NamedTuple):
    violation: object  # of a rule, or None
    words: tuple  # the statuses that the person has seen
    log: tuple  # what the person did, and when


def made(seed, most=MAX_STEPS):
    """The history of this seed: a list of at most so many steps."""
    drawn = random.Random(seed)
    names = list(KINDS)
    weights = [KINDS[name].weight for name in names]
    chosen = drawn.choices(names, weights, k=drawn.randint(2, most))
    return [
        Step(name, KINDS[name].draw(drawn), long(drawn, SHORT_SECONDS, LONG_SECONDS))
        for name in chosen
    ]


def play(history, seed):
    """Plays a history, and returns its Outcome. `seed` is for what happens by chance in it, such as
    the jitter of pauses."""
    before = first()
    random.seed(seed)
    return _run(lambda folder: _played(history, folder, before))


@functools.cache
def first():
    """A folder with the state of a fleet on which the first release is live."""
    folder = fleet().folder / "first"
    random.seed(0)
    _run(lambda there: _made_first(there, folder))
    return folder


def _run(story):
    """Runs the coroutine `story(folder)` in simulated time."""
    folder = Path(tempfile.mkdtemp(prefix="history-", dir=fleet().folder))
    logging.disable(logging.CRITICAL)
    try:
        with (
            mock.patch("os.fsync", _no_sync),
            mock.patch.object(ed25519, "verify", _verified),
            mock.patch.object(download, "hash_file", hash_file),
            mock.patch.object(events, "_BODY", _Bodies),
            mock.patch.object(clock, "GAP_SECONDS", GAP_SECONDS),
            mock.patch.object(leader, "EXPIRED_SECONDS", EXPIRED_SECONDS),
            mock.patch.object(leader, "_has_ended", has_ended),
            mock.patch.object(leader, "LOOK_SECONDS", TICK_SECONDS),
            mock.patch.object(readback, "time", _Steady),
        ):
            return loop.run(story(folder), PowerCut)
    finally:
        logging.disable(logging.NOTSET)
        shutil.rmtree(folder)


class _Steady:
    """In the place of the module `time`."""

    @staticmethod
    def monotonic():
        return asyncio.get_running_loop().time()


def _no_sync(descriptor):
    """Nothing here looks at what a medium would have lost."""


_verified = functools.lru_cache(10_000)(ed25519.verify)


class _Bodies:
    """Reads the body of an event once: all look at the log again and again."""

    validate_json = functools.lru_cache(1000)(events._BODY.validate_json)


def _watched(world):
    """Shows the world each event that the controller writes."""
    append = log.append_all

    def appended(connection, at, entries):
        added = append(connection, at, entries)
        for rollout, body in entries:
            world.saw(connection, rollout, body)
        return added

    return mock.patch.object(log, "append_all", appended)


async def _made_first(folder, left):
    world = World(folder, random)
    await world.make_first()
    world.leave(left)
    world.close()


async def _played(history, folder, before):
    world = World(folder, random, before)
    world.person.number = 1
    violation = None
    try:
        with _watched(world):
            await world.begin()
            for step in history:
                world.snapshot()
                KINDS[step.kind].do(world, *step.given)
                await asyncio.sleep(step.wait)
                world.check()
            await world.end()
    except Violation as found:
        violation = found
    finally:
        world.close()
    return Outcome(violation, tuple(sorted(world.person.words)), tuple(world.person.did))


def shrunk(history, seed, kind):
    """The shortest history found that breaks the same rule: steps are left out, and waits are
    made short, as long as that is so."""

    def fails(candidate):
        found = play(candidate, seed).violation
        return found is not None and found.kind == kind

    size = len(history)
    while size:
        start = 0
        while start < len(history):
            candidate = history[:start] + history[start + size :]
            if fails(candidate):
                history = candidate
            else:
                start += size
        size //= 2
    for number, step in enumerate(history):
        candidate = [*history]
        candidate[number] = step._replace(wait=SHORT_SECONDS)
        if fails(candidate):
            history = candidate
    return history


def told(history, seed):
    """The history as Python, to be played again."""
    steps = "".join(f"    Step({s.kind!r}, {s.given!r}, {s.wait}),\n" for s in history)
    return f"play([\n{steps}], {seed})"
