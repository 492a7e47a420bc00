"""Tests how much a bank may hold, on a medium of known size."""

import errno
import os

import pytest

from modelwave_agent.banks import DELTA, Banks
from modelwave_shared.words import FILE_ROLES

BLOCK, FREE, RESERVED = 4096, 100, 8


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder on a medium with FREE blocks left."""
    stat = os.statvfs_result((BLOCK, BLOCK, 1000, FREE, FREE, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda path: stat)
    return tmp_path


def test_a_bank_leaves_the_journal_room_to_be_written(folder):
    """littlefs copies a block before it writes to it: a full medium would end all updates."""
    assert Banks(folder).room(0) == (FREE - RESERVED) * BLOCK


def test_what_the_bank_holds_already_counts_as_room(folder):
    (folder / "a.model").write_bytes(bytes(1000))
    assert Banks(folder).room(0) == (FREE - RESERVED) * BLOCK + 1000
    assert Banks(folder).room(1) == (FREE - RESERVED) * BLOCK


def test_a_cleared_bank_holds_no_file_and_the_other_bank_all_of_its_own(tmp_path):
    for bank in "ab":
        for role in (*FILE_ROLES, DELTA):
            (tmp_path / f"{bank}.{role}").write_bytes(b"x")
    Banks(str(tmp_path)).clear(1)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == sorted(f"a.{role}" for role in (*FILE_ROLES, DELTA))


def test_file_that_cannot_be_removed_is_told(tmp_path, monkeypatch):
    """Else the next download would be appended to it."""
    (tmp_path / "a.model").write_bytes(b"x")

    def remove(path):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "remove", remove)
    with pytest.raises(OSError, match="Read-only"):
        Banks(str(tmp_path)).clear(0)
    Banks(str(tmp_path)).clear(1)  # there is nothing


def test_a_limit_holds_and_a_full_medium_has_no_room(folder, monkeypatch):
    assert Banks(folder, 5000).room(0) == 5000
    full = os.statvfs_result((BLOCK, BLOCK, 1000, 2, 2, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda path: full)
    assert Banks(folder).room(0) == 0


def test_file_that_cannot_be_looked_at_is_not_taken_for_a_missing_one(tmp_path, monkeypatch):
    """Else a download would be appended to it from its first byte on, and pass as whole."""
    banks = Banks(str(tmp_path))
    (tmp_path / "a.model").write_bytes(b"the first half")
    assert banks.size(0, "model") == 14

    def stat(path):
        raise OSError(errno.EIO, "input/output error")

    with monkeypatch.context() as failing:
        failing.setattr(os, "stat", stat)
        failing.setattr(os, "remove", stat)
        for call in (
            lambda: banks.size(0, "model"),
            lambda: banks.clear(0),
            lambda: banks.room(0),
        ):
            with pytest.raises(OSError, match="input/output error"):
                call()
