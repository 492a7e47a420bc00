"""Cuts the power of the controller at every moment of what writes its files."""

import os
from collections.abc import Iterator

import pytest

from tests.disk import writers
from tests.disk.mounted import patched
from tests.disk.sweep import Count
from tests.disk.writers import WRITERS, Told

LONG = os.environ.get("MODELWAVE_LONG") == "1"
# Of every so many first cuts the second ones are made, and every so many moments it is killed.
EVERYDAY = {"new home": (0, 0), "bundle": (0, 24)}


@pytest.fixture(autouse=True)
def on_memory() -> Iterator[None]:
    with patched():
        yield


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_power_cut_leaves_the_old_or_the_new_files_and_the_new_ones_once_that_was_told(
    name: str,
) -> None:
    count = Count()
    pairs, kills = (1, 1) if LONG else EVERYDAY.get(name, (6, 16))
    if name == "new home" and LONG:
        pairs, kills = 20, 4
    writer = WRITERS[name]
    writers.sweep(writer, count, LONG).run(writers.start(writer), Told(), pairs, kills)
    print(f"{name}: {count.line()}")
    assert count.faults == {}
    assert count.single
