"""Tests that a service notices when the files of its SQLite database are deleted, moved or replaced
under it, and that nothing is lost that could be kept."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rollout_world import World
from simulated_fleet import poll
from sqlalchemy import insert, select

from modelwave_controller.errors import StorageError
from modelwave_controller.service.leader import RENEW_SECONDS, Candidate
from modelwave_controller.storage import lease
from modelwave_controller.storage.open_file import DatabaseGone
from modelwave_controller.storage.store import Store
from modelwave_controller.storage.tables import floors


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home" / "modelwave.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """A database that holds something, in its -wal file."""
    with closing(opened(path)) as made:
        with made.write() as connection:
            connection.execute(insert(floors).values(model="digits", seq=7))
        made.verify_file()
        yield made


def opened(path: Path) -> Store:
    return Store(f"sqlite:///{path}")


def held(path: Path) -> list[int]:
    with closing(opened(path)) as store, store.read() as connection:
        return list(connection.scalars(select(floors.c.seq)))


def named(pattern: str, text: str) -> Path:
    found = re.search(pattern, text)
    assert found, text
    return Path(found[1])


def test_a_database_that_was_deleted_is_saved_and_asked_back(path: Path, store: Store) -> None:
    path.unlink()
    with pytest.raises(DatabaseGone, match="was deleted, moved or replaced"):
        store.verify_file()
    saved = named(r"saved as (\S+): `mv ", store.keep())
    store.close()
    with pytest.raises(StorageError, match=f"`mv {saved} {path}`"):
        opened(path)
    assert [file.name for file in path.parent.iterdir()] == [saved.name]
    saved.rename(path)
    assert held(path) == [7]


def test_a_database_that_was_replaced_is_saved_beside_the_new_one(path: Path, store: Store) -> None:
    other = path.with_name("other.db")
    opened(other).close()
    os.replace(other, path)
    with pytest.raises(DatabaseGone):
        store.verify_file()
    saved = named(r"saved as (\S+): ", store.keep())
    store.close()
    elsewhere = saved.rename(saved.with_name("elsewhere.db"))
    assert held(path) == []
    assert held(elsewhere) == [7]


def test_a_home_that_was_moved_is_named_and_whole(path: Path, store: Store) -> None:
    moved = path.parent.rename(path.parent.with_name("moved"))
    with pytest.raises(DatabaseGone):
        store.verify_file()
    assert f"it is {moved / path.name} now: move it back" in store.keep()
    store.close()
    assert held(moved / path.name) == [7]


def test_what_a_wal_held_that_was_deleted_is_in_the_database(path: Path, store: Store) -> None:
    with closing(opened(path)) as other, other.read():  # so that closing alone keeps nothing
        path.with_name("modelwave.db-wal").unlink()
        with pytest.raises(DatabaseGone, match="-wal was deleted"):
            store.verify_file()
        assert "start `modelwave serve` again" in store.keep()
        store.close()
        alone = path.with_name("alone.db")
        alone.write_bytes(path.read_bytes())
    assert held(alone) == [7]


def test_no_new_database_is_made_in_the_place_of_one_that_was_deleted(
    path: Path, store: Store
) -> None:
    path.unlink()
    with store.read(), pytest.raises(DatabaseGone), store.read():
        pass
    assert not path.exists()


def test_one_that_cannot_be_saved_is_said(path: Path, store: Store) -> None:
    for file in path.parent.iterdir():
        file.unlink()
    path.parent.rmdir()
    with pytest.raises(DatabaseGone):
        store.verify_file()
    assert "could not be saved" in store.keep()


def test_a_leader_looks_at_the_files_as_often_as_it_renews(path: Path, store: Store) -> None:
    now = [0.0]
    leading = Candidate(store, lambda: 0.0, lambda: now[0]).try_to_lead()
    assert leading is not None
    path.unlink()
    leading.verify_file()
    now[0] += RENEW_SECONDS
    with pytest.raises(DatabaseGone):
        leading.verify_file()
    with pytest.raises(DatabaseGone):
        Candidate(store, lambda: 0.0).try_to_lead()


# Services.


class Serving:
    """A `modelwave serve` of the home."""

    def __init__(self, home: Path) -> None:
        self.log = home.parent / f"{len(list(home.parent.glob('*.log')))}.log"
        command = [sys.executable, "-m", "modelwave_controller", "--home", home, "serve"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def says(self, words: str) -> bool:
        return words in self.log.read_text()

    def ended(self) -> tuple[int, str]:
        """Waits for its end; returns its exit code and its last line."""
        code = self.process.wait(60)
        return code, self.log.read_text().splitlines()[-1]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.mark.e2e
def test_services_end_when_the_database_is_deleted_and_start_again_where_they_were(
    tmp_path: Path,
) -> None:
    with closing(World(tmp_path, devices=3)) as world:
        world.start(1)
        home = world.home.path
        database = home / "modelwave.db"
    with closing(Serving(home)) as leads:
        poll(lambda: leads.says("modelwave serves"))
        with closing(Serving(home)) as stands_by:
            poll(lambda: stands_by.says("modelwave stands by"))
            database.unlink()
            code, last = leads.ended()
            saved = named(r"saved as (\S+): `mv ", last)
            assert code == 1
            code, last = stands_by.ended()
            assert code == 1
            assert "while this service stood by" in last
    with closing(Serving(home)) as refused:
        code, last = refused.ended()
        assert code == 1
        assert f"`mv {saved} {database}`" in last
    saved.rename(database)
    with closing(Serving(home)) as again:
        poll(lambda: again.says("modelwave serves"))
        again.process.send_signal(signal.SIGTERM)
        assert again.process.wait(60) == 0
    with closing(Store(f"sqlite:///{database}")) as store, store.read() as connection:
        assert lease.stored(connection).generation >= 2
        assert len(list(connection.exec_driver_sql("SELECT device FROM devices"))) == 3
