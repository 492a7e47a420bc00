"""A full disk, as far as it can be had without one: files that may not grow."""

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modelwave_controller import disk

DATA = b"x" * 5000


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
    "copy": lambda path: disk.copy_verified(path.parent / "source", path, "0" * 64, len(DATA)),
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
