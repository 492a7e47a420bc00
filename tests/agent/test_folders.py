"""The folders of a host's agent are made, also where the disk has a bad moment."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from modelwave_agent.host import folders


@pytest.mark.parametrize("call", ["stat", "mkdir"])
@pytest.mark.parametrize("which", [1, 2])
def test_an_error_that_passes_leaves_no_device_without_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, which: int
) -> None:
    number, real = [0], getattr(os, call)

    def disturbed(*given: Any, **named: Any) -> Any:
        number[0] += 1
        if number[0] == which:
            raise OSError(errno.EIO, "Input/output error")
        return real(*given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(os, call, disturbed)
        folders.make_folder(tmp_path / "state" / "digits")
    assert number[0] >= which
    assert (tmp_path / "state" / "digits").is_dir()


def test_a_name_that_was_not_synced_is_no_folder_though_it_cannot_be_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: str) -> None:
        if Path(path).name == "digits":
            raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(folders, "sync_name", fails)
        patched.setattr(os, "rmdir", fails)
        with pytest.raises(OSError, match="Input/output error"):
            folders.make_folder(tmp_path / "digits")
    assert (tmp_path / "digits").is_dir()
    folders.make_folder(tmp_path / "digits")


def test_a_folder_on_a_read_only_medium_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(folders, "sync_name", fails)
    folders.make_folder(tmp_path)


def test_an_error_that_stays_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(FileExistsError):
        folders.make_folder(tmp_path / "state" / "digits")
