"""Cuts the power at writes and erases of a board's flash, on real littlefs and FAT.

An ordinary run tests some of them; MODELWAVE_LONG=1, like `make boards-sweep`, tests all.
"""

import os
import signal

import pytest

from tests.board.sweep.cuts import (
    FILESYSTEMS,
    GOOD,
    SCENARIOS,
    Sweep,
    lines,
    numbers,
    unexpected,
)
from tests.board.sweep.fat import ENTRY_BYTES
from tests.board.sweep.flash import MODES
from tests.board.sweep.own_cuts import SCENARIOS as OWN_SCENARIOS
from tests.board.sweep.own_cuts import OwnSweep
from tests.board.sweep.own_lives import life_of
from tests.trust.figures import tell

pytestmark = pytest.mark.slow

LONG = os.environ.get("MODELWAVE_LONG") == "1"
STEPS = dict.fromkeys(FILESYSTEMS, 1) if LONG else {"lfs2": 43, "fat": 17}
AGAIN_STEPS = {"lfs2": 9, "fat": 3} if LONG else {"lfs2": 79, "fat": 27}
OWN_STEP = 1 if LONG else 47
KILLED_STEP = 1 if LONG else 61
CLUSTER_BYTES = 512
FAT_TIMES = {*range(14, 20), *range(22, 26)}  # of a file, in its entry; littlefs can do without


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    return tmp_path_factory.mktemp("verdicts")


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("filesystem", STEPS)
def test_power_cut_at_any_write_leaves_a_whole_model_and_a_true_report(
    tmp_path, verdicts, filesystem, name
):
    sweep = Sweep(tmp_path, filesystem, name, verdicts)
    points = []
    for mode in MODES:
        points += sweep.run(mode, numbers(sweep.operations, mode, STEPS[filesystem]))
    failed = sum(bool(point.faults) for point in points)
    tell(f"{filesystem}, {name}: {len(points)} of {sweep.operations * 3} points, {failed} failed")
    assert unexpected(points) == []
    assert points


@pytest.mark.parametrize("name", OWN_SCENARIOS if LONG else ["broken agent"])
@pytest.mark.parametrize("filesystem", FILESYSTEMS if LONG else ["lfs2"])
def test_power_cut_at_any_write_leaves_an_agent_that_runs(tmp_path, verdicts, filesystem, name):
    sweep = OwnSweep(tmp_path, filesystem, name, verdicts)
    points = []
    for mode in MODES:
        points += sweep.run(mode, numbers(sweep.operations, mode, OWN_STEP))
    failed = sum(bool(point.faults) for point in points)
    tell(f"{filesystem}, {name}: {len(points)} of {sweep.operations * 3} points, {failed} failed")
    assert unexpected(points) == []
    assert points


@pytest.mark.parametrize("filesystem", FILESYSTEMS if LONG else ["lfs2", "fat"])
def test_the_medium_after_a_cut_is_that_of_a_process_that_is_killed_there(
    tmp_path, verdicts, filesystem
):
    """The sweep puts it together from a life that nothing cut."""
    sweep = OwnSweep(tmp_path, filesystem, "new agent", verdicts)
    lives, seq = sweep.lives, sweep.seq
    lives.has_times = False
    sweep.traces = lives.traces("told", sweep.traces[0].image, seq)
    for mode in MODES:
        for number in numbers(sum(map(len, sweep.traces)), mode, KILLED_STEP):
            trace, left = life_of(sweep.traces, number)
            killed, medium = lives.made("killed", trace.image, seq, cut_at=left, mode=mode)
            expected, said = trace.cut(mode, left)
            assert killed.returncode == -signal.SIGKILL, killed.stderr
            assert differences(medium, expected) - FAT_TIMES == set(), (mode, number)
            told = lines(killed)
            assert told["cut"] == said["cut"]
            assert told.get("boot") == said.get("boot")
            assert len(told["reports"]) == len(said["reports"])


def differences(one, other):
    """Where in an entry of a directory of FAT these differ."""
    return {at % ENTRY_BYTES for at in range(len(one)) if one[at] != other[at]}


@pytest.mark.parametrize(
    ("sweeps", "name"),
    [(Sweep, "update"), (Sweep, "failed health")] + [(OwnSweep, "broken agent")] * LONG,
)
@pytest.mark.parametrize("filesystem", AGAIN_STEPS)
def test_power_cut_twice_in_a_row(tmp_path, verdicts, filesystem, sweeps, name):
    sweep = sweeps(tmp_path, filesystem, name, verdicts)
    step = AGAIN_STEPS[filesystem]
    points = []
    for again in range(step // 2, sweep.operations, step):
        points += sweep.run("half", range(1, sweep.operations + 1, step), again)
    print(f"{filesystem}, {name}: {len(points)} pairs of power cuts")
    assert unexpected(points) == []


@pytest.mark.parametrize(
    ("sweeps", "filesystem", "name"),
    [(Sweep, "lfs2", "update"), (Sweep, "fat", "update"), (OwnSweep, "lfs2", "broken agent")],
)
def test_the_sweep_goes_red_when_the_journal_is_written_last(
    tmp_path, verdicts, sweeps, filesystem, name
):
    """The last writes of an update are those that confirm it."""
    sweep = sweeps(tmp_path, filesystem, name, verdicts, late=True)
    last = range(sweep.operations - 4, sweep.operations)
    assert unexpected(sweep.run("lost", last))


def test_power_cut_in_a_download_loses_no_room_on_fat(tmp_path, verdicts):
    """FAT first gives a file its clusters and then writes down that they are its; nobody
    gives back what a cut left between. One write stays where a whole file can be lost: a
    file's name goes before its clusters do."""
    sweep = Sweep(tmp_path, "fat", "update", verdicts)
    points = sweep.run("lost", range(1, sweep.operations + 1, 1 if LONG else 6))
    assert len([point for point in points if point.lost_bytes > CLUSTER_BYTES]) <= 1


def test_power_cut_in_a_download_leaves_what_came(tmp_path, verdicts):
    """littlefs keeps of an open file what was synced."""
    whole = GOOD.document["needs"]["flash"]
    sweep = Sweep(tmp_path, "lfs2", "update", verdicts)
    fetched = []
    for number in range(sweep.operations // 3, sweep.operations, 12):
        fetched.append(sweep.point("lost", number).fetched)
        if whole // 4 < fetched[-1] < whole * 3 // 4:
            return
    raise AssertionError(fetched)
