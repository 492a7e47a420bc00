"""A signal ends a command in order: it cleans up, and says only what is true. What a killed one
has left is removed by the next."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rollout_commands import Run
from rollout_world import World

from modelwave_controller import disk, interruption
from modelwave_controller.cli import clock as clock_commands
from modelwave_controller.cli import service as service_commands
from modelwave_controller.errors import OperatorError
from modelwave_controller.home import Home
from modelwave_controller.operations import backup, restore

LEFT = "backup-a1b2c3d4"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=1)) as made:
        made.shelve(1)
        yield made


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """The handlers of the command."""
    before = {number: signal.getsignal(number) for number in interruption.ENDING}
    for number in interruption.ENDING:
        signal.signal(number, signal.SIG_DFL)
    interruption.begin()
    interruption.loaded()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def signalling(number: int, then: Callable[..., Any] | None = None) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        signal.raise_signal(number)
        return then and then(*arguments, **options)

    return call


@pytest.mark.parametrize("number", interruption.ENDING)
def test_a_backup_that_is_interrupted_leaves_nothing(
    world: World, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(backup, "_copy", signalling(number))
    before = sorted(tmp_path.rglob("*"))
    ran = run("backup", str(tmp_path / "fleet.tar"))
    assert ran.code == 128 + number
    assert ran.err == f"modelwave: interrupted; no backup was written to {tmp_path}/fleet.tar\n"
    assert sorted(tmp_path.rglob("*")) == before


def test_a_second_signal_does_not_disturb_the_clean_up(
    world: World, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "_copy", signalling(signal.SIGINT))
    monkeypatch.setattr(disk.shutil, "rmtree", signalling(signal.SIGTERM, disk.shutil.rmtree))
    before = sorted(tmp_path.rglob("*"))
    assert run("backup", str(tmp_path / "fleet.tar")).code == 130
    assert sorted(tmp_path.rglob("*")) == before


def test_a_backup_that_was_written_is_not_said_to_be_absent(
    world: World, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "sync_folder", signalling(signal.SIGTERM, disk.sync_folder))
    ran = run("backup", str(tmp_path / "fleet.tar"))
    assert (ran.code, (tmp_path / "fleet.tar").exists()) == (143, True)
    assert "fleet.tar is written, and whole" in ran.err
    assert not list(tmp_path.rglob(".modelwave-*"))


def test_a_restore_is_done_as_a_whole_or_not_at_all(
    world: World, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, new = tmp_path / "fleet.tar", tmp_path / "new"
    run("backup", str(file))
    with monkeypatch.context() as patched:
        patched.setattr(restore.archive, "read_end", signalling(signal.SIGTERM))
        patched.setenv("MODELWAVE_HOME", str(new))
        ran = run("--home", str(new), "restore", str(file))
    assert ran.code == 143
    assert "interrupted; nothing was changed" in ran.err
    assert not new.exists()
    with monkeypatch.context() as patched:
        patched.setattr(restore, "_move", signalling(signal.SIGINT, restore._move))
        ran = run("--home", str(new), "restore", str(file))
    assert ran.code == 130
    assert "interrupted; but all was restored before" in ran.err
    assert Home(new).root.fleet == world.home.root.fleet
    assert (new / "modelwave.db").exists()
    assert not list(tmp_path.rglob(".modelwave-*"))


@pytest.mark.parametrize("number", interruption.ENDING)
def test_an_interrupted_command_does_not_say_that_nothing_was_done(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(clock_commands, "_print", signalling(number))  # it is committed
    ran = run("clock", "accept", "the battery is new")
    assert (ran.code, ran.err) == (128 + number, "modelwave: interrupted\n")


@pytest.mark.parametrize("number", interruption.ENDING)
def test_a_signal_while_modules_load_is_one_line(tmp_path: Path, number: int) -> None:
    (tmp_path / "typer.py").write_text(f"import signal; signal.raise_signal({int(number)})\n")
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", ""), *sys.path])
    ended = subprocess.run(
        [sys.executable, "-m", "modelwave_controller", "--version"],
        env=os.environ | {"PYTHONPATH": paths},
        preexec_fn=lambda: [signal.signal(n, signal.SIG_DFL) for n in interruption.ENDING],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (128 + number, b"modelwave: interrupted\n")


# What a killed command has left.


def left_in(folder: Path) -> Path:
    left = folder / f".modelwave-{LEFT}"
    left.mkdir()
    (left / "modelwave.db").write_bytes(b"a copy")
    return left


def test_a_backup_and_a_restore_remove_what_killed_ones_have_left(
    world: World, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "backups").mkdir()
    file = tmp_path / "backups" / "fleet.tar"
    places = [left_in(at) for at in (file.parent, world.home.path, world.home.path.parent)]
    assert run("backup", str(file)).code == 0
    assert not any(place.exists() for place in places)
    places = [left_in(at) for at in (world.home.path, world.home.path.parent)]
    world.close()
    assert run("restore", str(file), "--force").code == 0
    assert not any(place.exists() for place in places)


def test_the_service_removes_it_too(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OperatorError("enough")

    monkeypatch.setattr(service_commands, "Service", refuse)
    left = left_in(world.home.path)
    assert "enough" in run("serve").err
    assert not left.exists()


def test_a_folder_in_use_and_one_of_a_person_stay(tmp_path: Path) -> None:
    used = left_in(tmp_path)
    persons = tmp_path / ".modelwave-backup-20261129"
    persons.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = tmp_path / ".modelwave-backup-a_link__"
    link.symlink_to(elsewhere)
    lock = os.open(used, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert disk.remove_left(tmp_path) == []
    assert (used.exists(), persons.exists(), elsewhere.exists()) == (True, True, True)
    os.close(lock)
    assert disk.remove_left(tmp_path) == []
    assert not used.exists()
    assert (persons.exists(), elsewhere.exists()) == (True, True)


@pytest.mark.parametrize("instruction", ["open", "flock"])
def test_another_command_that_takes_a_new_folder_for_one_that_was_left_disturbs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instruction: str
) -> None:
    """The other one runs just before the new folder is opened, or locked."""
    module = os if instruction == "open" else fcntl
    real = getattr(module, instruction)

    def interrupted(*args: Any) -> Any:
        monkeypatch.setattr(module, instruction, real)
        assert disk.remove_left(tmp_path) == []
        return real(*args)

    monkeypatch.setattr(module, instruction, interrupted)
    with disk.work_folder(tmp_path, "backup") as folder:
        (folder / "file").write_bytes(b"whole")
        assert disk.remove_left(tmp_path) == []
        assert (folder / "file").read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == []
