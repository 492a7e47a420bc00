"""A short day, and a short flood, of the code of `python -m tests.day` and `tests.day.floods`."""

import subprocess
import sys
from pathlib import Path

import pytest

from modelwave_controller.rollout import state
from tests.day import floods
from tests.day.releases import KINDS
from tests.day.world import judged

ROOT = Path(__file__).parents[2]
SECONDS = 1800  # only a failing run takes so long


@pytest.mark.slow
@pytest.mark.timeout(SECONDS)
def test_a_short_day_has_right_verdicts_and_loses_no_device() -> None:
    options = ["--rollouts", "2", "--devices", "32", "--hosts", "1", "--boards", "1"]
    command = [sys.executable, "-m", "tests.day", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert "32 devices, 2 rollouts, 2 verdicts right, 0 devices lost" in last
    assert last.endswith("0 bad")


@pytest.mark.slow
@pytest.mark.timeout(SECONDS)
def test_a_flood_is_named_and_loses_nothing_of_others() -> None:
    """How quick others are, only the long form says: here are other tests beside it."""
    found = floods.scene("embedded-messages", seconds=2, devices=10)
    assert found.made["messages"] > 0
    assert [fault for fault in found.faults if "p99" not in fault] == []


def test_verdict_that_contradicts_the_truth_is_bad() -> None:
    finished, reverted = state.FINISHED, state.REVERTED
    assert judged(KINDS["good"], finished, []) == ""
    assert judged(KINDS["within"], reverted, [])
    assert judged(KINDS["worse"], reverted, []) == ""
    assert judged(KINDS["worse"], finished, [])
    assert judged(KINDS["worse"], reverted, ["revert"]), "the gate should have done it"
    assert judged(KINDS["wrong"], reverted, ["revert"]) == ""
    assert judged(KINDS["unwell"], state.HELD, [])
