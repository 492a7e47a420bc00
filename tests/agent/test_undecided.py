"""Tests what a device does if the hooks cannot tell whether the model on trial is healthy."""

import asyncio

import pytest

from modelwave_agent import machine
from modelwave_agent.ports import Undecided
from tests import signing
from tests.agent import fakes
from tests.agent.fakes import TOPIC, live, settled, world_with_live

OLD = signing.Release(1, b"old model " * 10)
NEW = signing.Release(2, b"new model " * 10)


@pytest.fixture
def world(tmp_path):
    made = world_with_live(tmp_path, OLD, NEW)
    made.retained[TOPIC] = signing.order(NEW, 2)
    made.served.clear()
    return made


def silent(monkeypatch, hook, times, is_attempt):
    """The hook of this name raises Undecided so many times for a model on trial."""
    real, left = getattr(fakes.FakeHooks, hook), [times]

    async def asked(self, model):
        if model.on_trial and left[0]:
            left[0] -= 1
            raise Undecided("the board does not answer", is_attempt)
        return await real(self, model)

    monkeypatch.setattr(fakes.FakeHooks, hook, asked)


@pytest.mark.parametrize("hook", ["serve", "healthy"])
def test_a_trial_that_tells_nothing_is_tried_again_without_end(world, monkeypatch, hook):
    silent(monkeypatch, hook, 12, False)
    assert asyncio.run(live(world, settled(world, 2)))
    said = [report["models"]["digits"] for report in world.reports]
    assert said[-1]["outcome"] == "SUCCEEDED"
    failed = [one for one in said if one["outcome"] == "FAILED"]
    assert {one["reason"] for one in failed} == {"the board does not answer"}
    assert max(one["tries"] for one in failed) == 12  # the pauses go on growing
    assert {one["release"] for one in failed} == {1}
    assert world.durable()["blacklist"] == []
    assert world.faults == []


def test_meanwhile_the_live_model_serves(world, monkeypatch):
    silent(monkeypatch, "healthy", 2, False)
    assert asyncio.run(live(world, settled(world, 2)))
    assert world.served == [1, 2, 1, 2, 1, 2]


def test_a_model_that_falls_silent_again_and_again_is_rolled_back_and_not_banned(
    world, monkeypatch
):
    silent(monkeypatch, "healthy", machine.MAX_TRIES, True)
    assert asyncio.run(live(world, settled(world, 2)))
    state = world.last_report()
    assert (state["outcome"], state["release"]) == ("ROLLED_BACK", 1)
    assert state["reason"] == "3 times in vain: the board does not answer"
    assert world.durable()["blacklist"] == []
    assert world.served[-1] == 1
