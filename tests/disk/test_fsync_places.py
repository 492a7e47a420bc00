"""Leaves out each place of the product that syncs, one at a time: the sweep has to find it."""

from collections.abc import Iterator

import pytest

from tests.disk import places
from tests.disk.every import begun
from tests.disk.medium import Disk
from tests.disk.mounted import patched
from tests.disk.sweep import Count, Found
from tests.disk.troubles import full_at_first

# The scene that needs the place, and whether the program has to be killed before the cut: 1 from
# the first moment on, -1 from the last one back.
PLACES = {
    "backup._write": ("backup", 0),
    "backup.make": ("backup", 0),
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
    "enrolling._take": ("device enrol", 0),
    "enrolling._write": ("device enrol", 0),
    "environments.remove": ("agent removal", 0),
    "folders._make": ("first", 1),
    "folders._make 2": ("first", 0),
    "golden_making.make": ("golden make", 0),
    "golden_making.make 2": ("golden make", 0),
    "home.make_home": ("new home", 0),
    "home.make_home 2": ("new home", 0),
    "install.install": ("agent install", 0),
    "install.install 2": ("agent install", 0),
    "install.install 3": ("agent install", 0),
    "intake.close": ("first", 0),
    "intake.write": ("resumed", 0),
    "intake.write 2": ("update", 0),
    "journal._create": ("first", 0),
    "journal._create 2": ("first", 0),
    "journal.read file": ("update", -1),
    "journal.read name": ("first", 1),
    "journal.write": ("update", 0),
    "restore._move": ("restore apart", 0),
    "restore._move_files": ("restore apart", 1),
    "restore._move 2": ("restore", 0),
    "restore._unpack": ("restore", 0),
    "wheelhouses.pack": ("bundle", 0),
}
LATE = ("journal._create", "journal._create 2")  # are needed where a journal is made by a write


def test_every_place_that_syncs_is_known_here() -> None:
    assert places.names() == PLACES.keys()


@pytest.fixture
def on_memory() -> Iterator[None]:
    with patched():
        yield


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_the_sweep_goes_red_without_the_sync(place: str, on_memory: None) -> None:
    name, kills = PLACES[place]
    count, without = Count(stops=True), places.without(place)
    sweep, start, facts = begun(name, count)

    def prepare(disk: Disk) -> None:
        without(disk)
        if place in LATE:
            full_at_first(disk)

    sweep.prepare = prepare
    with pytest.raises(Found) as found:
        sweep.run(start, facts, 0, kills)
    print(f"{place}: after {count.single + count.killed} cuts: {found.value}")
