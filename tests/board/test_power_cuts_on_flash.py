"""Cuts the power at writes and erases of a board's flash, on real littlefs and FAT.

An ordinary run tests some of them; MODELWAVE_LONG=1 tests all single cuts, and `make boards-sweep`
second ones besides.
"""

import os
import signal

import pytest

from tests.board.sweep.cuts import Count, Sweep, cuts
from tests.board.sweep.facts import Facts
from tests.board.sweep.fat import ENTRY_BYTES, Fat
from tests.board.sweep.flash import UNIT_BYTES
from tests.board.sweep.lives import FILESYSTEMS, Lives
from tests.board.sweep.releases import GOOD
from tests.board.sweep.scenes import SCENES, AgentScene
from tests.trust.figures import tell

pytestmark = pytest.mark.slow

LONG = os.environ.get("MODELWAVE_LONG") == "1"
# Of each file system: cuts at every so many operations, second ones of every so many states, at
# every so many operations.
STEPS = (
    dict.fromkeys(FILESYSTEMS, (1, 20, 1)) if LONG else {"lfs2": (43, 16, 17), "fat": (29, 16, 17)}
)
KILLED_STEP = 1 if LONG else 97
ANEW_STEP = 1 if LONG else 97
LATE_STEPS = {"lfs2": 12, "fat": 2}
AGENT_SCENES = [name for name, scene in SCENES.items() if isinstance(scene, AgentScene)]
MODEL_SCENES = [name for name in SCENES if name not in AGENT_SCENES]
CLUSTER_BYTES = 512
FAT_TIMES = {*range(14, 20), *range(22, 26)}  # of a file, in its entry


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    return tmp_path_factory.mktemp("verdicts")


@pytest.fixture
def swept(tmp_path, verdicts):
    """Makes the Sweep of a scene."""

    def make(filesystem, name, is_late=False):
        return Sweep(Lives(tmp_path, verdicts, filesystem, SCENES[name], is_late), Count())

    return make


@pytest.mark.parametrize("name", MODEL_SCENES)
@pytest.mark.parametrize("filesystem", STEPS)
def test_power_cut_at_any_write_leaves_a_whole_model_and_a_true_report(swept, filesystem, name):
    nothing_is_bad(swept(filesystem, name))


@pytest.mark.parametrize("name", AGENT_SCENES)
@pytest.mark.parametrize("filesystem", STEPS if LONG else ["lfs2"])
def test_power_cut_at_any_write_leaves_an_agent_that_runs(swept, filesystem, name):
    nothing_is_bad(swept(filesystem, name))


def nothing_is_bad(sweep):
    step, pairs, again = STEPS[sweep.lives.filesystem]
    sweep.run(pairs, step, again)
    tell(f"{sweep.lives.filesystem}: {sweep.count.line()}, {sweep.count.lived} lives")
    assert sweep.count.faults == {}
    assert sweep.count.single
    assert sweep.count.double


@pytest.mark.parametrize(
    ("filesystem", "name"),
    [("lfs2", "update"), ("fat", "update"), ("lfs2", "broken-agent")],
)
def test_the_medium_after_a_cut_is_that_of_a_process_that_is_killed_there(swept, filesystem, name):
    """The sweep puts it together from what a life did that nothing cut."""
    sweep = swept(filesystem, name)
    lives, image = sweep.lives, sweep.image
    for life in sweep.uncut:
        for cut in cuts(image, [life], Facts(), KILLED_STEP):
            number = int(cut.name.split()[1])
            killed = lives.process(image, orders(sweep), cut_at=number, mode=cut.mode)
            assert killed.returncode == -signal.SIGKILL, killed.stderr
            different = differences(lives.image.read_bytes(), cut.image)
            assert different - (FAT_TIMES if filesystem == "fat" else set()) == set(), cut.name
        image = life.after(image)


def orders(sweep):
    return (sweep.scene.last, sweep.scene.last)


def differences(one, other):
    """Where in an entry of a directory of FAT these differ."""
    return {at % ENTRY_BYTES for at in range(len(one)) if one[at] != other[at]}


@pytest.mark.parametrize(
    ("filesystem", "name"),
    [("lfs2", "update"), ("lfs2-32", "failed-health"), ("fat", "update"), ("lfs2", "new-agent")],
)
def test_a_life_is_decided_by_what_it_reads(swept, filesystem, name):
    """So a medium needs not be lived on if a life on another one has read the same."""
    sweep = swept(filesystem, name)
    for cut in cuts(sweep.image, sweep.uncut, Facts(), ANEW_STEP):
        (life, *_), _ = sweep.lives.to_the_end(cut.image, cut.facts)
        other = bytearray(b"?" * len(cut.image))
        for unit in (unit for units in life.reads for unit in units):
            at = slice(unit * UNIT_BYTES, (unit + 1) * UNIT_BYTES)
            other[at] = cut.image[at]
        again = sweep.lives.live(other, orders(sweep))
        assert (again.reads, again.boot, again.end) == (life.reads, life.boot, life.end), cut.name
        places = [[(at, len(data)) for at, data, _ in one.operations] for one in (again, life)]
        assert places[0] == places[1]
        if filesystem != "fat":  # which keeps the time of each file
            assert again.operations == life.operations


@pytest.mark.parametrize(
    ("filesystem", "name"),
    [("lfs2", "update"), ("fat", "update"), ("lfs2", "broken-agent")],
)
def test_the_sweep_goes_red_when_the_journal_is_written_last(swept, filesystem, name):
    """The last writes of an update are those that confirm it."""
    sweep = swept(filesystem, name, is_late=True)
    sweep.run(pairs=0, step=1 if LONG else LATE_STEPS[filesystem])
    assert any("reported" in fault for fault in sweep.count.faults)


def test_power_cut_in_a_download_loses_no_room_on_fat(swept):
    """FAT first gives a file its clusters and then writes down that they are its; nobody
    gives back what a cut left between. One write stays where a whole file can be lost: a
    file's name goes before its clusters do."""
    sweep = swept("fat", "update")
    lost = []
    for cut in cuts(sweep.image, sweep.uncut, Facts(), 1 if LONG else 6):
        if cut.mode == "lost":
            (life,), _ = sweep.lives.to_the_end(cut.image, cut.facts)
            lost.append(Fat(bytes(life.after(cut.image))).lost_bytes())
    assert len(lost) > 5
    assert len([count for count in lost if count > CLUSTER_BYTES]) <= 1


def test_power_cut_in_a_download_leaves_what_came(swept):
    """littlefs keeps of an open file what was synced."""
    whole = GOOD.document["needs"]["flash"]
    sweep = swept("lfs2", "update")
    fetched = []
    for cut in cuts(sweep.image, sweep.uncut, Facts(), 9):
        (life,), _ = sweep.lives.to_the_end(cut.image, cut.facts)
        fetched.append(life.end["fetched"])
    assert any(whole // 4 < count < whole * 3 // 4 for count in fetched), fetched
