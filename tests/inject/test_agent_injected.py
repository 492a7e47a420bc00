"""Tests that an agent which is disturbed at a system call of an update ends it all the same, and
has told nothing that is false. `python -m tests.inject agent` takes many more points."""

import asyncio
import os
from functools import partial
from pathlib import Path

import pytest

from tests.inject import agent_scenes
from tests.inject.agent_scenes import SCENES
from tests.inject.calls import points, spread
from tests.inject.lives import forked
from tests.inject.points import Count, disturb
from tests.inject.surroundings import surroundings
from tests.inject.tracing import why_not

LONG = os.environ.get("MODELWAVE_LONG") == "1"
POINTS = {"update": 12}
FEW = 4

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "it can be traced"),
]


@pytest.mark.parametrize("name", SCENES)
def test_disturbed_at_a_system_call_it_ends_the_update_and_tells_the_truth(
    tmp_path: Path, name: str
) -> None:
    count = asyncio.run(_disturbed(tmp_path, name))
    print(f"{name}: {count.line()}")
    assert count.faults == {}
    assert count.points


async def _disturbed(folder: Path, name: str) -> Count:
    count = Count()
    async with surroundings(folder) as around, forked("tests.inject.agent_lives") as forker:
        made = await agent_scenes.prepared(around, forker, SCENES[name])
        chosen = spread(points(made.log), 0 if LONG else POINTS.get(name, FEW))
        play = partial(agent_scenes.play, around, made)
        await disturb(name, chosen, [forker], play, count, print)
    return count
