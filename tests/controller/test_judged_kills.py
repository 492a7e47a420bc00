"""Tests kill -9 of the controller at its commits while it judges: after a restart each look and
each verdict is the same. MODELWAVE_LONG=1 tests every commit, an ordinary run some of them."""

import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from killed_world import NEVER, KilledWorld
from observing_fleet import WINDOW, ObservingFleet, judging

from modelwave_controller.rollout.events import Gated, Looked
from modelwave_controller.rollout.state import FINISHED, REVERTED
from modelwave_controller.storage import log

LONG = os.environ.get("MODELWAVE_LONG") == "1"
ENDS = {0.0: FINISHED, 0.3: REVERTED}  # how much worse the release is: how its rollout ends
PARTS = 3  # of the commits of an ordinary run


def play(folder: Path, worse: float, number: int = NEVER, side: str = "") -> Any:
    """Returns what was judged, the number of commits, and whether the service was killed."""
    plan = judging("accuracy >= baseline - 0.1", stages=(50, 100))
    first = plan.stages[0].model_copy(update={"soak_seconds": 4 * WINDOW})
    plan = plan.model_copy(update={"stages": (first, plan.stages[1])})
    folder.mkdir()
    with closing(KilledWorld(folder, 12, number, side)) as world:
        fleet = ObservingFleet(world, worse)
        fleet.begin(plan, before=4)
        for _ in range(9):
            fleet.step()
        return judged(world), world.commits, world.was_killed


def judged(world: KilledWorld) -> Any:
    with world.store.read() as connection:
        found = [event.body for event in log.events_after(connection, 0, reports_of=[])]
    (rollout,) = world.state().rollouts.values()
    verdicts = [body for body in found if isinstance(body, Looked | Gated)]
    return verdicts, rollout.status, rollout.reason


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("worse", ENDS)
def test_killed_at_a_commit_it_judges_as_if_nothing_had_been(
    tmp_path: Path, worse: float, side: str
) -> None:
    undisturbed, commits, _ = play(tmp_path / "undisturbed", worse)
    assert undisturbed[1] == ENDS[worse]
    looks = [body.windows for body in undisturbed[0] if isinstance(body, Looked)]
    assert looks[:1] == [1]
    step = 1 if LONG else commits // PARTS
    for number in range(step, commits + 1, step):
        found, _, was_killed = play(tmp_path / str(number), worse, number, side)
        assert was_killed, f"commit {number} of {commits} was not reached"
        assert found == undisturbed, f"killed {side} commit {number} of {commits}"
