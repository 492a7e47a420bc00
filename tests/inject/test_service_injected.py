"""Tests that a service which is disturbed at a system call goes on, and its rollouts end as if
nothing had been. `python -m tests.inject service` takes many more points."""

import asyncio
import os
from functools import partial
from pathlib import Path

import pytest

from tests.inject import service
from tests.inject.calls import points, spread
from tests.inject.lives import forked
from tests.inject.points import Count, disturb
from tests.inject.tracing import why_not

POINTS = 1000 if os.environ.get("MODELWAVE_LONG") == "1" else 4


@pytest.mark.e2e
@pytest.mark.timeout(7200)
@pytest.mark.skipif(bool(why_not()), reason=why_not() or "it can be traced")
def test_disturbed_at_a_system_call_its_rollouts_end_as_if_nothing_had_been(
    tmp_path: Path,
) -> None:
    count = asyncio.run(_disturbed(tmp_path))
    print(count.line())
    assert count.faults == {}
    assert count.points


async def _disturbed(folder: Path) -> Count:
    count = Count()
    async with forked("tests.inject.service_lives") as forker:
        first = await service.first(forker, folder)
        chosen = spread(points(first.log), POINTS)
        play = partial(service.play, folder, first)
        await disturb("service", chosen, [forker], play, count, print)
    return count
