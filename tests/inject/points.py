"""Disturbs a program at many points, several at once, and counts what was seen."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from tests.inject.calls import Hit, Point
from tests.inject.lives import Forker

TOLD_EACH = 100

# Plays a scene that is disturbed at a point. Returns the faults, and what became of the point.
Play = Callable[[Forker, Point], Awaitable[tuple[list[str], Hit]]]


class Count:
    """`points` were reached, `missed` were not: threads did not take turns as the first time. Where
    an error hit what cannot give it, nothing is judged, and the point is a missed one."""

    def __init__(self) -> None:
        self.points = self.missed = self.bad = 0
        self.faults: dict[str, list[str]] = {}  # of each bad point

    def add(self, other: "Count") -> None:
        self.points += other.points
        self.missed += other.missed
        self.bad += other.bad
        self.faults |= other.faults

    def line(self) -> str:
        return f"{self.points} points of strace, {self.missed} were not reached; {self.bad} bad"


async def disturb(
    name: str,
    points: Sequence[Point],
    forkers: Sequence[Forker],
    play: Play,
    count: Count,
    tell: Callable[[str], None],
) -> None:
    """Adds what was seen to `count` as it comes. What `tell` is told of a bad point are the words
    of the command that disturbs there again."""
    left = iter(points)

    async def work(forker: Forker) -> None:
        for point in left:
            faults, hit = await play(forker, point)
            count.points += hit is Hit.REACHED
            count.missed += hit is not Hit.REACHED
            if faults and hit is not Hit.IMPOSSIBLE:
                count.bad += 1
                count.faults[f"{name} --point {point}"] = faults
                tell(f"bad: {name} --point {point}: {'; '.join(faults)}")
            if (count.points + count.missed) % TOLD_EACH == 0:
                tell(f"{name}: {count.line()}")

    async with asyncio.TaskGroup() as group:
        for forker in forkers:
            group.create_task(work(forker))
