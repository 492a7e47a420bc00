"""Tests a full disk, simulated by files that may not grow."""

import errno
import hashlib
import os
import resource
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError

DATA = b"x" * 5000
SHA256 = hashlib.sha256(DATA).hexdigest()


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


WRITES: dict[str, Callable[[Path], object]] = {
    "create": lambda path: disk.create_file(path, DATA),
    "replace": lambda path: disk.replace(path, DATA),
    "copy": lambda path: disk.copy_verified(path.parent / "source", path, SHA256, len(DATA)),
    "take": lambda path: disk.copy_hashed(path.parent / "source", path.parent, "--file", 10**6),
}


@pytest.mark.parametrize("what", WRITES)
def test_a_write_that_fails_names_the_file(tmp_path: Path, what: str) -> None:
    (tmp_path / "source").write_bytes(DATA)
    path = tmp_path / ("file" if what != "take" else ".taken")
    with pytest.raises(OSError, match="File too large") as caught, files_of_at_most(1000):
        WRITES[what](path)
    assert caught.value.errno == errno.EFBIG
    assert caught.value.filename == str(path)


STEPS = {
    "create": ["file", "folder"],
    "replace": ["file", "rename", "folder"],
    "copy": ["file", "rename", "folder"],
    "take": ["file", "rename"],  # into a folder that is not in its place yet
}


@pytest.mark.parametrize("what", WRITES)
def test_a_file_is_on_the_disk_before_it_has_its_name_and_the_name_is_there_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Else a power cut may leave a name without the bytes."""
    steps = []
    rename = os.rename

    def synced(descriptor: int) -> None:
        found = os.fstat(descriptor)
        steps.append("folder" if stat.S_ISDIR(found.st_mode) else "file")
        assert steps[-1] == "folder" or found.st_size == len(DATA)

    def renamed(old: Path, new: Path) -> None:
        steps.append("rename")
        rename(old, new)

    (tmp_path / "source").write_bytes(DATA)
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    WRITES[what](tmp_path / "file")
    assert steps == STEPS[what]


def test_file_that_did_not_fit_is_not_left_in_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            disk.create_file(tmp_path / "key", b"half of it")
    disk.create_file(tmp_path / "key", b"all of it")
    assert (tmp_path / "key").read_bytes() == b"all of it"


def test_pieces_of_a_file_are_what_was_promised_or_an_error_with_the_remedy(
    tmp_path: Path,
) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    assert b"".join(disk.pieces(path, "FILE", 4000, "try again")) == DATA[:4000]
    with pytest.raises(OperatorError, match=r"^FILE: .*/file became shorter: try again$"):
        list(disk.pieces(path, "FILE", len(DATA) + 1, "try again"))
