"""Disturbs the real agent, the proof of a model and the real service at their system calls, kills
agents at random moments, and ends with one line. Exits with 1 if something was bad.

    python -m tests.inject [agent|proof|service|kills …]                all, if none is named
    python -m tests.inject agent --scene update --point write:1:EIO     one point again

A point is the n-th of a system call in a thread, and what happens there: KILL or an error. --points
says how many of a scene's points are taken, evenly chosen; 0 takes all. A --point that was not
reached is no success.
"""

import argparse
import asyncio
import os
import signal
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from tests.arguments import add_names, whole
from tests.ending import INTERRUPTED
from tests.inject import agent_scenes, kills, proof, service
from tests.inject.agent_scenes import SCENES
from tests.inject.calls import Point, points, spread
from tests.inject.kills import Kills
from tests.inject.lives import Forker, forked
from tests.inject.points import Count, Play, disturb
from tests.inject.surroundings import surroundings
from tests.inject.tracing import why_not

PARTS = ("agent", "proof", "service", "kills")
POINTS, KILLS = 300, 10_000
AT_ONCE = 2 * (os.cpu_count() or 1)
TOLD_EACH = 500


class Run:
    """One run of the command."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.count = Count()
        self.kills = Kills()

    @property
    def bad(self) -> int:
        return self.count.bad + self.kills.bad

    def line(self) -> str:
        return (
            f"injected: {self.count.points} points of strace ({self.count.missed} not reached), "
            f"{self.kills.number} kills ({self.kills.percent:.0f} % in an update), {self.bad} bad"
        )

    async def all(self) -> None:
        parts = self.options.parts or PARTS
        if "agent" in parts:
            await self.agent()
        if "proof" in parts:
            await self.proof()
        if "service" in parts:
            await self.service()
        if "kills" in parts:
            await self.storms()

    async def agent(self) -> None:
        async with AsyncExitStack() as stack:
            around = await stack.enter_async_context(surroundings(self.folder))
            forkers = await self._forkers(stack, "tests.inject.agent_lives")
            for name in self.options.scene or SCENES:
                made = await agent_scenes.prepared(around, forkers[0], SCENES[name])

                play = partial(agent_scenes.play, around, made)
                await self._disturb(f"agent --scene '{name}'", made.log, forkers, play)

    async def proof(self) -> None:
        async with AsyncExitStack() as stack:
            forkers = await self._forkers(stack, "tests.inject.proof_lives")
            log = await proof.first(forkers[0], self.folder)
            await self._disturb("proof", log, forkers, partial(proof.play, self.folder))

    async def service(self) -> None:
        async with AsyncExitStack() as stack:
            forkers = await self._forkers(stack, "tests.inject.service_lives")
            first = await service.first(forkers[0], self.folder)
            play = partial(service.play, self.folder, first)
            await self._disturb("service", first.log, forkers, play)

    async def storms(self) -> None:
        async with AsyncExitStack() as stack:
            around = await stack.enter_async_context(surroundings(self.folder))
            forkers = await self._forkers(stack, "tests.inject.agent_lives")
            each, seed = -(-self.options.kills // len(forkers)), self.options.seed
            async with asyncio.TaskGroup() as group:
                for number, forker in enumerate(forkers, seed):
                    storm = kills.Storm(around, forker, number, self.kills)
                    group.create_task(storm.run(each, self._killed))
        for fault, where in self.kills.faults.items():
            tell(f"bad: {where}: {fault}")
        tell(f"kills: {self.kills.line()}")

    def _killed(self) -> None:
        if self.kills.number % TOLD_EACH == 0:
            tell(f"kills: {self.kills.line()}")

    async def _forkers(self, stack: AsyncExitStack, module: str) -> list[Forker]:
        at_once = range(self.options.at_once)
        return [await stack.enter_async_context(forked(module)) for _ in at_once]

    async def _disturb(self, name: str, log: str, forkers: list[Forker], play: Play) -> None:
        """At the points of the log of an undisturbed life."""
        chosen = self.options.point or spread(points(log), self.options.points)
        count = Count()
        try:
            await disturb(name, chosen, forkers, play, count, tell)
        finally:
            self.count.add(count)
        tell(f"{name}: {count.line()}")


def tell(line: str) -> None:
    print(line, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    if reason := why_not():
        tell(f"strace cannot trace here: {reason}")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        run = Run(options, Path(folder))
        try:
            asyncio.run(run.all())
            is_missed = options.point is not None and run.count.missed > 0
            code = int(run.bad > 0 or is_missed)
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would disturb the end
            tell("ended by Ctrl-C")
            code = INTERRUPTED
        tell(run.line())
    return code


def _point(text: str) -> Point:
    try:
        return Point.read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m tests.inject", description=__doc__, formatter_class=form
    )
    add_names(parser, "parts", PARTS, "part")
    parser.add_argument("--scene", action="append", choices=SCENES, help="of the agent")
    parser.add_argument("--point", action="append", type=_point, help="such as write:1:EIO")
    parser.add_argument("--points", type=whole(0), default=POINTS, help="of each scene; 0: all")
    parser.add_argument("--kills", type=whole(1), default=KILLS)
    parser.add_argument(
        "--seed", type=whole(0), default=1, help="of the first device that is killed"
    )
    parser.add_argument("--at-once", type=whole(1), default=AT_ONCE, help="lives at the same time")
    return parser.parse_args(arguments)
