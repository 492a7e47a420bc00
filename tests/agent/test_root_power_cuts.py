"""Cuts the power at every write of a walk to a new root of trust, and of the update under it.

At each boot the device trusts a whole root, and none before one that it has told; the model that
was confirmed serves; and at the end the new root and its order have been taken.
"""

import asyncio
import os
import tempfile

import pytest

from modelwave_agent import journal, root_store
from modelwave_shared import documents
from tests import signing
from tests.agent import cut_sweep
from tests.agent.fakes import ROOT, TOPIC, PowerCut, live, settled, world_with_live
from tests.agent.root_chain import NEW_KEY, NEW_ROOT_KEYS, document, publish
from tests.trust.figures import tell

pytestmark = pytest.mark.slow

ONE = signing.Release(1, b"first model " * 200)
TWO = signing.Release(2, b"second model " * 200)
MAX_CALLS = 200
CUTS = ("before", "torn", "after")
LONG = os.environ.get("MODELWAVE_LONG") == "1"
STEPS = dict.fromkeys(CUTS, 1) if LONG else {"before": 9, "torn": 3, "after": 9}


@pytest.fixture
def syncs(monkeypatch):
    """Makes each sync of a root's file a port call of the world that is in `worlds`."""
    worlds, sync = [], journal.sync

    def counted(file):
        name = os.path.basename(str(file.name))
        if not worlds or not name.startswith(root_store.NAME + "."):
            return sync(file)
        worlds[-1].call(lambda: sync(file), lambda: torn(worlds[-1].medium, file))

    monkeypatch.setattr(journal, "sync", counted)
    return worlds


def torn(medium, file):
    """Half of what was written has reached the medium; where the file grew, half of its length."""
    file.flush()
    name = os.path.basename(file.name)
    with open(file.name, "rb") as written:
        new = written.read()
    old = medium.synced.get(name, b"")
    end = len(new.rstrip(b"\0")) // 2 or len(new) // 2
    medium.synced[name] = new[:end] + old[end:]
    medium.removed.discard(name)


def prepared(folder):
    """A device that runs ONE under the first root. Two roots and an order under the second wait."""
    folder.mkdir()
    world = world_with_live(folder, ONE, TWO)
    second = document(2, root_keys=NEW_ROOT_KEYS)
    publish(world, second, *signing.ROOT_KEYS[:2], *NEW_ROOT_KEYS[:2])
    publish(world, document(3, NEW_KEY, NEW_ROOT_KEYS, epoch=1), *NEW_ROOT_KEYS[1:])
    world.retained[TOPIC] = signing.order(TWO, 1, NEW_KEY, epoch=1)
    return world


def is_done(world):
    def done(update):
        told = world.reports and world.reports[-1]["extra"]["root"] == 3
        return told and world.last_report()["epoch"] == 1 and settled(world, 1)(update)

    return done


def life(world, cut_at=None):
    """One life; whether it came to the end. Checks what its boot finds."""
    told = max([1, *(report["extra"]["root"] for report in world.reports)])
    found, problem = on_medium(world)
    if found < told:
        world.fault(f"boots with root {found}, told was {told}")
    if problem:
        world.fault(problem)
    world.reports.clear()
    try:
        return asyncio.run(live(world, is_done(world), cut_at))
    except PowerCut:  # already while the agent was made
        return False


def on_medium(world):
    """Returns the version of the root on the medium, and the problem with the stored one."""
    world.off, world.cut_at = False, None
    with tempfile.TemporaryDirectory() as folder:
        world.medium.copy_to(folder)
        root, problem = root_store.newest(folder, ROOT)
    return documents.root_version(root), problem


def play(world, cuts):
    """Lives through the cuts (one a life), then to the end; whether each cut was met."""
    met = [not life(world, cut) for cut in cuts]
    if not life(world):
        world.fault("the device never came to an end")
    elif (world.last_report()["release"], world.last_report()["outcome"]) != (2, "SUCCEEDED"):
        world.fault(f"ended as {world.last_report()}")
    return all(met)


def sweep(folder, syncs, cuts=CUTS, steps=STEPS):
    """(number of cuts, {cut: faults}) over the port calls of the walk and the update."""

    def cut(call, when):
        world = prepared(folder / f"{when}-{call}")
        syncs.append(world)
        met = play(world, [(call, when)])
        syncs.clear()
        return world, met

    return cut_sweep.sweep({when: range(1, MAX_CALLS, steps[when]) for when in cuts}, cut)


def test_power_cut_at_every_write_of_a_root_walk_leaves_a_whole_root(tmp_path, syncs):
    cases, bad = sweep(tmp_path, syncs)
    tell(f"root walk on a host: {cases} power cuts, {len(bad)} with faults")
    assert bad == {}
    assert cases > (60 if LONG else 12)


def test_power_cut_twice_in_a_row_in_a_root_walk(tmp_path, syncs):
    cases = 0
    step = 1 if LONG else 8
    for first in range(2, 20, step):
        for second in range(1, 16, step):
            world = prepared(tmp_path / f"{first}-{second}")
            syncs.append(world)
            play(world, [(first, "torn"), (second, "torn")])
            syncs.clear()
            assert world.faults == [], (first, second)
            cases += 1
    tell(f"root walk on a host: {cases} pairs of power cuts, 0 with faults")


def test_the_sweep_goes_red_when_a_root_is_trusted_before_it_is_stored(
    tmp_path, syncs, monkeypatch
):
    write, waiting = root_store.write, []

    def late(folder, envelope):
        if waiting:
            write(*waiting.pop())
        waiting.append((folder, envelope))

    monkeypatch.setattr(root_store, "write", late)
    cases, bad = sweep(tmp_path, syncs, ["after"], {"after": 4})
    print(f"stored one too late: {cases} power cuts, {len(bad)} with faults")
    assert len(bad) > 3
