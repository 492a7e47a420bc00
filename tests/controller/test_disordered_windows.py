"""Tests that the order and the number of times in which windows arrive do not change a verdict.

Windows are permuted, sent several times, cut in the middle of a message, and sent late but within
the grace; each seed is another mixture of these. MODELWAVE_LONG=1 tests more seeds.
"""

import json
import os
import random
from contextlib import closing
from pathlib import Path

import pytest
from observing_fleet import WINDOW, ObservingFleet, judging
from rollout_world import World

from modelwave_controller.rollout.events import Looked
from modelwave_controller.storage import log

SEEDS = range(40 if os.environ.get("MODELWAVE_LONG") == "1" else 3)
LATE_SECONDS = 5  # below the plan's grace
ACCURACY = "accuracy >= baseline - 0.05"
Messages = list[tuple[str, bytes]]


class DisorderedFleet(ObservingFleet):
    """Without a `mixer` everything arrives once, in order and at once."""

    def __init__(self, world: World, worse: float, mixer: random.Random | None) -> None:
        super().__init__(world, worse)
        self.mixer = mixer
        self.late: Messages = []
        self.may_be_late = False
        self.arrange = self.mixed

    def mixed(self, sent: Messages) -> Messages:
        if self.mixer is None:
            return sent
        found: Messages = []
        for topic, payload in sent:
            kind = self.mixer.choice(("once", "twice", "cut", "late"))
            if kind == "late" and self.may_be_late:
                self.late.append((topic, payload))
                continue
            if kind == "cut":
                found.append((topic, payload[: self.mixer.randrange(1, len(payload))]))
            found += [(topic, payload)] * (2 if kind == "twice" else 1)
        return self.mixer.sample(found, len(found))

    def step(self) -> None:
        self.may_be_late = True
        super().step()
        self.world.now += LATE_SECONDS
        self.world.tick()
        late, self.late = self.late, []
        self.send((topic, aged(payload)) for topic, payload in late)
        self.world.now -= LATE_SECONDS


def aged(payload: bytes) -> bytes:
    document = json.loads(payload)
    return json.dumps(document | {"age_seconds": document["age_seconds"] + LATE_SECONDS}).encode()


def looks(folder: Path, worse: float, seed: int | None) -> list[Looked]:
    folder.mkdir()
    plan = judging(ACCURACY, stages=(50, 100), judge={"inconclusive": "go on"})
    first = plan.stages[0].model_copy(update={"soak_seconds": 4 * WINDOW})
    plan = plan.model_copy(update={"stages": (first, plan.stages[1])})
    with closing(World(folder, devices=12)) as world:
        mixer = None if seed is None else random.Random(seed)
        fleet = DisorderedFleet(world, worse, mixer)
        fleet.begin(plan, before=4)
        for _ in range(6):
            fleet.step()
        with world.store.read() as connection:
            found = [event.body for event in log.events_after(connection, 0, reports_of=[])]
        return [body for body in found if isinstance(body, Looked)]


@pytest.mark.slow
@pytest.mark.parametrize("worse", [0.0, 0.2])
def test_windows_out_of_order_repeated_cut_or_late_give_the_same_looks(
    tmp_path: Path, worse: float
) -> None:
    in_order = looks(tmp_path / "in-order", worse, None)
    assert in_order[0].findings
    for seed in SEEDS:
        assert looks(tmp_path / str(seed), worse, seed) == in_order, f"seed {seed}"
