"""Leaves out each place of the product that syncs, one at a time: the sweep has to find it."""

from collections.abc import Iterator

import pytest

from tests.disk import places, scenes, writers
from tests.disk.device import Facts
from tests.disk.medium import Disk
from tests.disk.mounted import patched
from tests.disk.scenes import SCENES
from tests.disk.sweep import Count, Found
from tests.disk.troubles import full_at_first
from tests.disk.writers import WRITERS, Told

# The scene that needs the place, and whether the program has to be killed before the cut: 1 from
# the first moment on, -1 from the last one back.
PLACES = {
    "bundles.staged": ("bundle", 0),
    "catalog._keep": ("release", -1),
    "catalog.add": ("release", 1),
    "chain.write": ("root chain", 1),
    "disk._whole": ("settings", 0),
    "disk._whole 2": ("settings", 0),
    "disk.copy_hashed": ("bundle", 0),
    "disk.create_file": ("new file", 0),
    "disk.create_file 2": ("new file", 0),
    "disk.make_folder": ("new home", 0),
    "disk.make_folder 2": ("new home", 0),
    "folders.make_folder": ("first", 1),
    "folders._made": ("first", 0),
    "home.make_home": ("new home", 0),
    "home.make_home 2": ("new home", 0),
    "intake.close": ("first", 0),
    "intake.write": ("resumed", 0),
    "intake.write 2": ("update", 0),
    "journal._create": ("first", 0),
    "journal._create 2": ("first", 0),
    "journal.read file": ("update", -1),
    "journal.read name": ("first", 1),
    "journal.write": ("update", 0),
    "wheelhouses.pack": ("bundle", 0),
}
LATE = ("journal._create", "journal._create 2")  # are needed where a journal is made by a write
# Places that no scene of these sweeps goes through: docs/testing.md says so.
OTHERS = {
    "backup._write",
    "backup.make",
    "enrolling._take",
    "enrolling._write",
    "golden_making.make",
    "install.install",
    "install.install 2",
    "restore._move",
    "restore._move 2",
    "restore._unpack",
}


def test_every_place_that_syncs_is_known_here() -> None:
    assert places.names() == PLACES.keys() | OTHERS


@pytest.fixture
def on_memory() -> Iterator[None]:
    with patched():
        yield


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_the_sweep_goes_red_without_the_sync(place: str, on_memory: None) -> None:
    name, kills = PLACES[place]
    count, without = Count(stops=True), places.without(place)
    if name in SCENES:
        sweep = scenes.sweep(SCENES[name], count)
        start, facts = SCENES[name].start(), Facts()
    else:
        sweep = writers.sweep(WRITERS[name], count)
        start, facts = writers.start(WRITERS[name]), Told()

    def prepare(disk: Disk) -> None:
        without(disk)
        if place in LATE:
            full_at_first(disk)

    sweep.prepare = prepare
    with pytest.raises(Found) as found:
        sweep.run(start, facts, 0, kills)
    print(f"{place}: after {count.single + count.killed} cuts: {found.value}")
