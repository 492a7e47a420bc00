"""Cuts the power in each scene, on a disk that forgets what was not synced, and lets the disk
refuse operations."""

import os
from collections.abc import Iterable, Iterator

import pytest

from tests.disk.every import AGENT_SCENES, LARGE, SCENES, WRITERS, begun
from tests.disk.mounted import patched
from tests.disk.sweep import Count
from tests.disk.windows import SCRIPTS

LONG = os.environ.get("MODELWAVE_LONG") == "1"
# Of every so many first cuts the second ones are made, at every so many moments the program is
# killed, and of every so many errors of the disk one is met; 0: of none.
EVERYDAY = {
    "first": (0, 20, 25),
    "update": (16, 8, 12),
    "root walk": (0, 20, 40),
    "agent update": (0, 0, 60),
    "windows": (0, 0, 25),
    "windows of before": (1, 1, 9),
    "new home": (0, 0, 0),
    "bundle": (0, 24, 30),
    "agent install": (0, 9, 9),
    "backup": (0, 0, 25),
    "restore apart": (0, 0, 0),
}
# In the long form alone: their code is the others', or in test_fsync_places.py.
SLOW = ("first agent", "agent revert", "agent crashes", "other agent", "restore", "device enrol")
OF_A_DEVICE, OF_WINDOWS, OF_A_WRITER = (0, 0, 60), (9, 9, 16), (6, 16, 25)


@pytest.fixture(autouse=True)
def on_memory() -> Iterator[None]:
    with patched():
        yield


def due(*kinds: Iterable[str]) -> list[str]:
    """The names of scenes that this run goes through."""
    return [name for names in kinds for name in names if LONG or name not in SLOW]


def swept(name: str, everyday: tuple[int, int, int]) -> None:
    count = Count()
    pairs, kills, errors = (1, 1, 1) if LONG else EVERYDAY.get(name, everyday)
    if LONG:
        pairs = kills = LARGE.get(name, 1)
    sweep, start, facts = begun(name, count, LONG)
    sweep.run(start, facts, pairs, kills)
    if errors:
        sweep.meet(start, facts, errors)
    print(f"{name}: {count.line()}")
    assert count.faults == {}
    assert count.single
    assert count.errors or not errors


@pytest.mark.slow
@pytest.mark.parametrize("name", due(SCENES, AGENT_SCENES))
def test_device_that_loses_power_has_a_whole_model_and_reports_what_is_true(name: str) -> None:
    swept(name, OF_A_DEVICE)


@pytest.mark.slow
@pytest.mark.parametrize("name", due(SCRIPTS))
def test_window_that_was_written_counts_once_whenever_the_power_is_cut(name: str) -> None:
    swept(name, OF_WINDOWS)


@pytest.mark.slow
@pytest.mark.parametrize("name", due(WRITERS))
def test_power_cut_leaves_the_old_or_the_new_files_and_the_new_ones_once_that_was_told(
    name: str,
) -> None:
    swept(name, OF_A_WRITER)
