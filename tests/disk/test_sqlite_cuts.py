"""Cuts the power of the controller's database at moments of its work."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.disk import left
from tests.disk.medium import applied
from tests.disk.sqlite import Count, Cut, Recording, drawn, sweep
from tests.tools import needed

LONG = os.environ.get("MODELWAVE_LONG") == "1"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def with_strace() -> None:
    needed("strace")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return Recording(tmp_path_factory.mktemp("recording"))


def test_power_cut_leaves_the_state_after_the_last_commit_that_was_acted_on(
    recording: Recording,
) -> None:
    count = Count()
    most, step = (8, 1) if LONG else (1, 24)
    sweep(drawn(recording.moments(), most, step), recording.digests, count)
    print(count.line())
    assert count.faults == {}
    assert count.cuts


def first_write_loses_its_block(recording: Recording) -> Iterator[Cut]:
    for number, moment in enumerate(recording.moments()):
        if len(moment.pending) == 1 and (LONG or number % 8 == 0):
            for what, kept in left.ways(moment.pending):
                if what.startswith("zeroed"):
                    state = applied(moment.base, kept)
                    yield Cut(f"moment {number}: {what}", state, moment.facts)


def test_write_that_is_cut_off_takes_no_commit_in_the_block_before_it_along(
    recording: Recording,
) -> None:
    """SQLite alone begins a commit in the block of the disk where the last one ends."""
    count = Count()
    sweep(first_write_loses_its_block(recording), recording.digests, count)
    assert count.faults == {}
    assert count.cuts


def test_database_that_syncs_only_at_checkpoints_loses_commits_that_were_acted_on(
    tmp_path: Path,
) -> None:
    """It is SQLite's usual setting in WAL mode; the sweep has to find it."""
    weak, count = Recording(tmp_path, "PRAGMA synchronous = NORMAL"), Count()
    synced = (
        Cut("all lost that is not synced", applied(moment.base, ()), moment.facts)
        for moment in itertools.islice(weak.moments(), 0, None, 100)
    )
    sweep(synced, weak.digests, count)
    assert [*count.faults] == ["a commit that was acted on is lost"]
