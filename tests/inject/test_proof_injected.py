"""Tests that an error of the disk, or no descriptor left, never makes a healthy model unhealthy."""

import asyncio
import os
from functools import partial
from pathlib import Path

import pytest

from tests.inject import proof
from tests.inject.calls import KILL, points
from tests.inject.lives import forked
from tests.inject.points import Count, disturb
from tests.inject.tracing import why_not

pytest.importorskip("numpy")

LONG = os.environ.get("MODELWAVE_LONG") == "1"


@pytest.mark.slow
@pytest.mark.skipif(bool(why_not()), reason=why_not() or "it can be traced")
def test_a_file_that_cannot_be_opened_once_is_no_fault_of_the_model(tmp_path: Path) -> None:
    count = asyncio.run(_disturbed(tmp_path))
    print(count.line())
    assert count.faults == {}
    assert count.points


async def _disturbed(folder: Path) -> Count:
    """At each file that is opened; MODELWAVE_LONG=1: at each system call."""
    count = Count()
    async with forked("tests.inject.proof_lives") as forker:
        found = points(await proof.first(forker, folder))
        opened = [one for one in found if one.call == "openat" and one.fault != KILL]
        play = partial(proof.play, folder)
        await disturb("proof", found if LONG else opened, [forker], play, count, print)
    return count
