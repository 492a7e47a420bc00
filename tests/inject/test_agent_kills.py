"""Tests that an agent which is killed at random moments, again and again, always has a whole model,
and tells the truth. `python -m tests.inject kills` does it 10,000 times."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.inject.kills import Kills, Storm
from tests.inject.lives import forked
from tests.inject.surroundings import surroundings

NUMBER = 2000 if os.environ.get("MODELWAVE_LONG") == "1" else 60
LEAST_PERCENT = 70  # of the kills come in an update; of so few it varies


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_killed_again_and_again_it_has_a_whole_model_and_tells_the_truth(tmp_path: Path) -> None:
    kills = asyncio.run(_killed(tmp_path))
    print(kills.line())
    assert kills.faults == {}
    assert kills.number == NUMBER
    assert kills.percent > LEAST_PERCENT


async def _killed(folder: Path) -> Kills:
    kills = Kills()
    async with surroundings(folder) as around, forked("tests.inject.agent_lives") as forker:
        await Storm(around, forker, 1, kills).run(NUMBER, lambda: None)
    return kills
