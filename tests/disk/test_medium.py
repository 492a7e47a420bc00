"""The disk that forgets holds what a program writes as a real one does, and forgets what it may."""

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.disk import left
from tests.disk.medium import ROOT, Disk, State
from tests.disk.mounted import mounted, patched

NEW, OLD = b"new" * 400, b"old" * 400


@pytest.fixture
def disk() -> Iterator[Disk]:
    with patched(), mounted(Disk((("/file", OLD), ("/folder", None)))) as disk:
        yield disk


def possible(disk: Disk) -> set[State]:
    """What a cut now may leave."""
    return {state for _, state in left.states(disk.moments[-1])}


def write(path: str, data: bytes, mode: str = "wb", synced: bool = True) -> None:
    with open(path, mode) as file:
        file.write(data)
        if synced:
            file.flush()
            os.fsync(file.fileno())


def sync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(descriptor)
    os.close(descriptor)


def test_what_was_synced_stays(disk: Disk) -> None:
    write(f"{ROOT}/file", NEW, "r+b")
    assert possible(disk) == {(("/file", NEW), ("/folder", None))}


def test_what_was_not_synced_is_there_in_whole_in_part_as_zeros_or_not(disk: Disk) -> None:
    write(f"{ROOT}/file", NEW, "r+b", synced=False)
    found = {dict(state)["/file"] for state in possible(disk)}
    assert {OLD, NEW, NEW[:512] + OLD[512:], OLD[:1024] + NEW[1024:], bytes(1200)} <= found


def test_new_file_has_no_name_until_its_folder_is_synced(disk: Disk) -> None:
    write(f"{ROOT}/folder/new", NEW)
    assert (("/file", OLD), ("/folder", None)) in possible(disk)
    sync_folder(f"{ROOT}/folder")
    assert possible(disk) == {(("/file", OLD), ("/folder", None), ("/folder/new", NEW))}


def test_synced_name_says_nothing_of_the_data(disk: Disk) -> None:
    write(f"{ROOT}/folder/new", NEW, synced=False)
    sync_folder(f"{ROOT}/folder")
    assert (("/file", OLD), ("/folder", None), ("/folder/new", b"")) in possible(disk)


def test_removed_and_renamed_files_may_be_back(disk: Disk) -> None:
    write(f"{ROOT}/folder/new", NEW)
    os.rename(f"{ROOT}/folder/new", f"{ROOT}/file")
    assert dict(min(possible(disk), key=len)).get("/file") != NEW  # FAT: neither name is there
    assert {dict(state).get("/file") for state in possible(disk)} == {OLD, NEW, None}
    sync_folder(ROOT)
    os.remove(f"{ROOT}/file")
    assert {dict(state).get("/file") for state in possible(disk)} == {NEW, None}


def test_data_whose_sync_failed_is_lost_whatever_is_synced_later(disk: Disk) -> None:
    def refuse(kind: str) -> None:
        if kind == "sync":
            raise OSError(5, "a medium that fails")

    with open(f"{ROOT}/file", "r+b") as file:
        file.write(NEW)
        file.flush()
        disk.refuse = refuse
        with pytest.raises(OSError, match="fails"):
            os.fsync(file.fileno())
        disk.refuse = lambda kind: None
        os.fsync(file.fileno())
    assert Path(f"{ROOT}/file").read_bytes() == NEW
    assert {dict(state)["/file"] for state in possible(disk)} == {OLD}


def test_program_that_has_ended_writes_nothing_any_more(disk: Disk) -> None:
    file = open(f"{ROOT}/file", "wb")  # noqa: SIM115
    file.write(NEW)
    disk.is_off = True
    file.close()
    assert {dict(state)["/file"] for state in possible(disk)} == {OLD, b""}


def _act(rng: random.Random, root: str) -> object:
    """One operation at random; returns what it gives, or its error."""
    name, other = (f"{root}/{rng.choice('abcd')}" for _ in range(2))
    data, at = bytes([rng.randrange(256)]) * rng.randrange(3000), rng.randrange(4000)
    kind = rng.randrange(9)
    try:
        if kind < 3:
            with open(name, ("wb", "ab", "r+b")[kind]) as file:
                if kind == 2:
                    file.seek(at)
                file.write(data)
                return file.tell()
        if kind == 3:
            return os.rename(name, other)
        if kind == 4:
            return os.remove(name)
        if kind == 5:
            with open(name, "r+b") as file:
                return file.truncate(at)
        if kind == 6:
            return os.link(name, other)
        if kind == 7:
            Path(name, "within").parent.mkdir()
            Path(name, "within").write_bytes(data)
            with open(tempfile.mkstemp(dir=name)[0], "wb") as file:
                file.write(data)
            return shutil.rmtree(name)
        return Path(name).read_bytes(), os.stat(name).st_size, Path(name).is_file()
    except OSError as error:
        return error.errno


def test_it_does_what_a_real_disk_does(tmp_path: Path) -> None:
    with patched(), mounted(Disk()) as disk:
        for seed in range(1500):
            found = [_act(random.Random(seed), root) for root in (ROOT, str(tmp_path))]
            assert found[0] == found[1], seed
    real = {f"/{path.name}": path.read_bytes() for path in tmp_path.iterdir()}
    assert dict(disk.seen()) == real
