"""The medium of the power-cut tests forgets what was not synced, and nothing else."""

import os

import pytest

from tests.agent.medium import Medium


def put(path, data, synced):
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        if synced:
            os.fsync(file.fileno())


def test_a_cut_takes_back_what_was_not_synced(tmp_path):
    medium = Medium(tmp_path)
    with medium.powered():
        put(tmp_path / "kept", b"old", synced=True)
        put(tmp_path / "kept", b"new", synced=False)
        put(tmp_path / "lost", b"new", synced=False)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept").read_bytes() == b"old"


def test_what_was_torn_stays(tmp_path):
    medium = Medium(tmp_path)
    with medium.powered():
        put(tmp_path / "file", b"half", synced=False)
        medium.tear(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"half"


@pytest.mark.parametrize("keeps", [True, False])
def test_a_removal_may_be_lost(tmp_path, keeps):
    medium = Medium(tmp_path, keeps)
    with medium.powered():
        put(tmp_path / "file", b"old", synced=True)
        os.remove(tmp_path / "file")
        put(tmp_path / "file", b"new", synced=False)
    assert (tmp_path / "file").exists() is not keeps
