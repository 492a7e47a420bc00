"""A backup has all that a home needs but its keys, and only a whole one is restored."""

import errno
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import stat
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rollout_commands import Ran, Run
from rollout_world import FLEET, World, newest, quick
from sqlalchemy import func, select

from modelwave_controller import cli
from modelwave_controller.errors import (
    ModelwaveError,
    OperatorError,
    StorageError,
    TrustError,
    UnknownPersonError,
)
from modelwave_controller.home import Home
from modelwave_controller.interruption import Interrupted
from modelwave_controller.operations import backup, restore
from modelwave_controller.operations.archive import DATABASE, MANIFEST
from modelwave_controller.operations.restore import Restored
from modelwave_controller.people import local_token, tokens
from modelwave_controller.people.roles import ADMIN
from modelwave_controller.rollout.events import FLEET as OF_FLEET
from modelwave_controller.rollout.events import Held
from modelwave_controller.storage import damage, log, migrate, outbox, snapshot, tables
from modelwave_controller.storage.store import Store

DOCS = Path(__file__).parents[2] / "docs" / "operations.md"
MODEL = b"a model" * 1000
SHA256 = hashlib.sha256(MODEL).hexdigest()
NOW = 1_800_000_000.0
LONG = bool(os.environ.get("MODELWAVE_LONG"))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=3)) as made:
        made.shelve(1)
        made.start(1, quick(100))
        made.tick()
        made.answer("SUCCEEDED", made.devices.values())
        made.tick()
        (made.home.files / SHA256).write_bytes(MODEL)
        (made.home.targets / "mine.toml").write_text("name = 'mine'\n")
        yield made


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A backup, made once: these tests only read it."""
    folder = tmp_path_factory.mktemp("packed")
    with closing(World(folder, devices=1)) as made:
        (made.home.files / SHA256).write_bytes(MODEL)
        make(made.home, folder / "fleet.tar", NOW)
    return (folder / "fleet.tar").read_bytes()


@pytest.fixture
def copied(packed: bytes, tmp_path: Path) -> Path:
    (tmp_path / "fleet.tar").write_bytes(packed)
    return tmp_path / "fleet.tar"


@pytest.fixture
def file(world: World, tmp_path: Path) -> Path:
    make(world.home, tmp_path / "fleet.tar", world.now)
    return tmp_path / "fleet.tar"


def nothing(_what: str, _done: int, _total: int) -> None:
    """Draws no progress."""


def make(home: Home, to: Path, now: float, **options: Any) -> backup.Made:
    return backup.make(home, to, now, "0.1.0", nothing, **options)


def put_back(path: Path, file: Path, now: float, force: bool = False) -> Restored:
    return restore.restore(path, file, now, "ann@here", nothing, force)


def names(file: Path) -> list[str]:
    with tarfile.open(file) as archive:
        return archive.getnames()


def events(home: Home) -> list[Any]:
    with closing(Store(home.database_url)) as store, store.read() as connection:
        return list(log.events_after(connection))


def contents(folder: Path) -> dict[str, bytes]:
    """All files in the folder, but for what an open database keeps beside it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


# What is in it.


def test_a_restored_home_is_the_old_one_without_its_keys(world: World, file: Path) -> None:
    before = events(world.home)
    done = put_back(world.home.path.parent / "new", file, world.now + 60)
    new = Home(world.home.path.parent / "new")
    *same, restored = events(new)
    assert same == before
    assert (restored.rollout, restored.body.kind, restored.body.actor) == (
        OF_FLEET,
        "restored",
        "ann@here",
    )
    assert (restored.body.made_at, restored.body.models) == (world.now, ["digits"])
    old, found = contents(world.home.path), contents(new.path)
    lost = {name for name in old if name not in found}
    assert lost == {name for name in old if name.endswith(".key")} | {"offline/.gitignore"}
    assert {name: data for name, data in found.items() if name != DATABASE} == {
        name: data for name, data in old.items() if name not in {*lost, DATABASE}
    }
    assert done.missing == [
        (str(new.path / "order.key"), "the key that signs orders"),
        (
            str(new.path / "report.key"),
            "the secret of devices' report keys, if devices were enrolled",
        ),
    ]
    assert (done.kept, done.put_aside, done.models) == ([], "", ["digits"])


def test_database_and_settings_that_are_restored_are_their_owners_alone(copied: Path) -> None:
    new = copied.parent / "new"
    put_back(new, copied, NOW)
    private = {new / DATABASE, new / "controller.toml"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}


@pytest.mark.parametrize("is_apart", [False, True])
def test_a_database_of_another_name_is_its_owners_alone_too(
    copied: Path, is_apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on another disk, where it is copied."""
    new, elsewhere = copied.parent / "new", copied.parent / "data" / "fleet.db"
    for folder in (new, elsewhere.parent):
        folder.mkdir()
    (new / "controller.toml").write_text(
        f'fleet = "{FLEET}"\n[database]\nurl = "sqlite:///{elsewhere}"\n'
    )
    rename = os.rename

    def renamed(old: Path, place: Path) -> None:
        if is_apart and Path(old).parent != elsewhere.parent == Path(place).parent:
            raise OSError(errno.EXDEV, "another disk")
        rename(old, place)

    monkeypatch.setattr(os, "rename", renamed)
    put_back(new, copied, NOW)
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o600


def test_an_access_token_of_a_backup_lets_nobody_in_when_it_is_restored(
    world: World, tmp_path: Path
) -> None:
    with world.store.write() as connection:
        given = tokens.make(connection, "eve", "admin", 86400, world.now, "ann@here")
    make(world.home, tmp_path / "fleet.tar", world.now)
    done = put_back(tmp_path / "new", tmp_path / "fleet.tar", world.now)
    with (
        closing(Store(Home(tmp_path / "new").database_url)) as opened,
        opened.read() as connection,
        pytest.raises(UnknownPersonError) as refused,
    ):
        tokens.verify(connection, given.secret.text, world.now)
    assert (done.tokens, refused.value.reason.endswith("was revoked")) == (1, True)


def test_a_backup_has_no_private_key_and_no_password(world: World, tmp_path: Path) -> None:
    home = world.home.path
    settings = home / "controller.toml"
    settings.write_text(settings.read_text().replace('password_file = ""', 'password_file = "pw"'))
    (home / "pw").write_text("hunter2")
    (home / "passwords.txt").write_text("hunter2")
    (home / local_token.NAME).write_text("hunter2")
    shutil.copyfile(home / "order.key", home / "targets" / "order.key")
    shutil.copyfile(home / "order.key", home / "targets" / "no-key.toml")
    secret = (home / "report.key").read_bytes().strip()
    (home / "releases" / "digits" / "1" / "link.json").symlink_to(home / "order.key")
    made = make(Home(home), tmp_path / "fleet.tar", world.now)
    data = (tmp_path / "fleet.tar").read_bytes()
    assert b"PRIVATE KEY" not in data
    assert b"hunter2" not in data
    assert secret not in data
    assert made.left_out == [
        "api-token",
        "offline",
        "order.key",
        "passwords.txt",
        "pw",
        "releases/digits/1/link.json",
        "report.key",
        "targets/no-key.toml",
        "targets/order.key",
    ]
    assert not [name for name in names(tmp_path / "fleet.tar") if name.endswith((".key", "pw"))]


def test_the_manifest_says_what_is_in_the_file(file: Path, world: World) -> None:
    with tarfile.open(file) as archive:
        first = archive.next()
        assert first is not None
        assert first.name == MANIFEST
        manifest = json.loads(archive.extractfile(first).read())  # type: ignore[union-attr]
        for entry in manifest["entries"]:
            data = archive.extractfile(entry["name"]).read()  # type: ignore[union-attr]
            assert (len(data), hashlib.sha256(data).hexdigest()) == (
                entry["size"],
                entry["sha256"],
            )
    assert [MANIFEST, *(entry["name"] for entry in manifest["entries"])] == names(file)
    assert (manifest["fleet"], manifest["modelwave"]) == (FLEET, "0.1.0")
    assert (manifest["revision"], manifest["made_at"]) == (migrate.NEWEST, int(world.now))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_models_files_may_be_left_out(world: World, tmp_path: Path) -> None:
    make(world.home, tmp_path / "small.tar", world.now, files=False)
    assert not [name for name in names(tmp_path / "small.tar") if name.startswith("files/")]
    done = put_back(tmp_path / "new", tmp_path / "small.tar", world.now)
    assert done.missing[-1][1] == "the models' files: `modelwave release add` each bundle"


def test_a_certificate_in_the_home_is_taken(world: World, tmp_path: Path) -> None:
    settings = world.home.path / "controller.toml"
    settings.write_text(settings.read_text().replace('ca = ""', 'ca = "ca.pem"'))
    (world.home.path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----")
    make(Home(world.home.path), tmp_path / "fleet.tar", world.now)
    assert "ca.pem" in names(tmp_path / "fleet.tar")


# Making one.


def test_a_backup_while_a_service_writes_is_of_one_moment(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each write adds two events, so a copy with an odd number has half of one. The copying is in
    small steps, and another write comes between any two."""
    monkeypatch.setattr(snapshot, "PAGES", 1)
    store, steps = Store(world.home.database_url), []

    def append() -> None:
        with store.write() as connection:
            log.append(connection, 1, 0.0, [Held(reason="x" * 3000), Held(reason="y")])

    def tell(done: int, total: int) -> None:
        steps.append((done, total))
        append()

    before = len(events(world.home))
    with closing(store):
        append()
        snapshot.copy(world.home.path / DATABASE, tmp_path / "copy.db", tell)
    assert len(steps) > 20
    assert steps[-1][0] == steps[-1][1]
    with closing(Store(f"sqlite:///{tmp_path / 'copy.db'}")) as copied, copied.read() as connection:
        assert connection.scalar(select(func.count()).select_from(tables.events)) == before + 2


def test_a_backup_does_not_wait_for_a_writer(world: World, tmp_path: Path) -> None:
    with world.store.write() as connection:
        log.append(connection, 1, 0.0, [Held(reason="not committed")])
        make(world.home, tmp_path / "fleet.tar", world.now)
    put_back(tmp_path / "new", tmp_path / "fleet.tar", world.now)
    assert not [e for e in events(Home(tmp_path / "new")) if e.body.kind == "held"]


def test_no_backup_is_overwritten_unless_that_is_wanted(world: World, file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(OperatorError, match="exists; name another file"):
        make(world.home, file, world.now)
    assert file.read_bytes() == before
    make(world.home, file, world.now + 5, force=True)
    assert file.read_bytes() != before


@pytest.mark.parametrize("place", ["absent/fleet.tar", "."])
def test_a_place_for_no_backup_is_named(world: World, tmp_path: Path, place: str) -> None:
    with pytest.raises(OperatorError, match="FILE: "):
        make(world.home, tmp_path / place, world.now)


def test_an_interrupted_backup_leaves_nothing(
    world: World, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr(backup, "_copy", interrupt)
    before = sorted(tmp_path.iterdir())
    ran = run("backup", str(tmp_path / "fleet.tar"))
    assert ran.code == 130
    assert "Traceback" not in ran.err
    assert sorted(tmp_path.iterdir()) == before


def test_no_backup_is_made_of_a_damaged_or_lost_database(world: World, tmp_path: Path) -> None:
    """It would take the place of a good one."""
    world.store.close()
    with closing(sqlite3.connect(world.home.path / DATABASE)) as connection, connection:
        connection.execute("UPDATE devices SET agent = CAST(x'ff' AS TEXT)")
    with pytest.raises(StorageError, match=r"devices\.agent is not UTF-8"):
        make(world.home, tmp_path / "fleet.tar", world.now)
    (world.home.path / DATABASE).write_bytes(b"nonsense" * 100)
    with pytest.raises(StorageError, match="not an SQLite database"):
        make(world.home, tmp_path / "fleet.tar", world.now)
    (world.home.path / DATABASE).unlink()
    with pytest.raises(OperatorError, match="there is no database at"):
        make(world.home, tmp_path / "fleet.tar", world.now)
    assert not list(tmp_path.glob("*.tar"))


def test_no_backup_is_made_of_another_programs_database(world: World, tmp_path: Path) -> None:
    world.store.close()
    (world.home.path / DATABASE).unlink()
    with closing(sqlite3.connect(world.home.path / DATABASE)) as connection:
        connection.execute("CREATE TABLE x (y)")
    with pytest.raises(StorageError, match="is another program's"):
        make(world.home, tmp_path / "fleet.tar", world.now)


def test_the_backup_of_a_database_from_before_the_migrations_has_its_revision(
    tmp_path: Path,
) -> None:
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection:
        connection.execute("CREATE TABLE heads (name TEXT, value INTEGER)")
        connection.execute("INSERT INTO heads VALUES ('schema', 1)")
        connection.commit()
    assert snapshot.copy(tmp_path / "old.db", tmp_path / "copy.db", lambda *_: None) == "0001"


def test_a_page_of_noise_is_damage_also_for_a_backup(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's message has bytes of the page, and the driver cannot read it."""

    def unreadable(*_: object) -> None:
        b"\xa5".decode()

    monkeypatch.setattr(snapshot, "_copy", unreadable)
    with pytest.raises(StorageError, match="database "):
        make(world.home, tmp_path / "fleet.tar", world.now)


def test_a_model_file_with_other_bytes_is_named(world: World, tmp_path: Path) -> None:
    (world.home.files / SHA256).write_bytes(b"b model" * 1000)
    with pytest.raises(StorageError, match=f"files/{SHA256} does not have the bytes"):
        make(world.home, tmp_path / "fleet.tar", world.now)
    assert not list(tmp_path.glob("*.tar"))


def test_postgresql_has_its_own_backup(world: World, tmp_path: Path) -> None:
    settings = world.home.path / "controller.toml"
    settings.write_text(settings.read_text().replace('url = ""', 'url = "postgresql://u@h/d"'))
    home = Home(world.home.path)
    with pytest.raises(OperatorError, match=r"pg_dump .* --without-database"):
        make(home, tmp_path / "fleet.tar", world.now)
    make(home, tmp_path / "home.tar", world.now, database=False)
    done = put_back(tmp_path / "new", tmp_path / "home.tar", world.now)
    assert (done.models, done.manifest.revision) == ([], "")
    assert not (tmp_path / "new" / DATABASE).exists()


def test_a_topic_that_was_cleared_is_no_damage(world: World, tmp_path: Path) -> None:
    """It has no message: the only column that may hold nothing."""
    with world.store.write() as connection:
        outbox.put(connection, ["modelwave/1/meadow/reported/d9"], b"")
    make(world.home, tmp_path / "fleet.tar", world.now)
    put_back(tmp_path / "new", tmp_path / "fleet.tar", world.now)


# Restoring.


def test_a_home_that_lost_its_database_gets_it_back_and_keeps_its_files(
    world: World, file: Path
) -> None:
    world.store.close()
    (world.home.path / DATABASE).unlink()
    (world.home.targets / "mine.toml").write_text("name = 'newer'\n")
    done = put_back(world.home.path, file, world.now)
    assert done.kept == ["targets/mine.toml"]
    assert (world.home.targets / "mine.toml").read_text() == "name = 'newer'\n"
    assert done.missing == []
    assert len(events(world.home)) > 3
    assert not list(world.home.path.glob(".modelwave-*"))


def test_a_database_in_order_is_replaced_only_by_force_and_put_aside(
    world: World, file: Path
) -> None:
    world.start(2, quick(100))
    world.store.close()
    with pytest.raises(OperatorError, match="nothing is wrong with it; --force"):
        put_back(world.home.path, file, world.now)
    assert newest(world).id == 2
    world.store.close()
    done = put_back(world.home.path, file, world.now, force=True)
    with closing(Store(f"sqlite:///{done.put_aside}")) as store, store.read() as connection:
        assert 2 in log.folded(connection).rollouts
    assert newest(world).id == 1


def test_a_database_that_the_system_does_not_open_is_not_replaced(
    world: World, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many files are open for a moment, and it is as good as it was."""
    world.start(2, quick(100))
    world.store.close()

    def fails(_file: Path) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as full:
        full.setattr(damage, "_sizes", fails)
        with pytest.raises(StorageError, match=r"cannot be read: Too many open files; .* --force"):
            put_back(world.home.path, file, world.now)
    assert newest(world).id == 2


def test_a_damaged_database_is_put_aside_without_force(world: World, file: Path) -> None:
    world.store.close()
    (world.home.path / DATABASE).write_bytes(b"nonsense" * 1000)
    done = put_back(world.home.path, file, world.now)
    assert Path(done.put_aside).read_bytes() == b"nonsense" * 1000
    assert newest(world).id == 1


def test_nothing_is_restored_while_a_process_has_the_database_open(
    world: World, file: Path
) -> None:
    with world.store.read():  # as a service has, all the time
        pass
    with pytest.raises(OperatorError, match="stop `modelwave serve` first"):
        put_back(world.home.path, file, world.now, force=True)
    assert "restored" not in {event.body.kind for event in events(world.home)}


def test_a_backup_of_another_fleet_is_refused(world: World, file: Path, tmp_path: Path) -> None:
    from modelwave_controller import home as homes

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("modelwave_controller.trust.pkcs8.PBKDF2_ROUNDS", 1000)
        homes.make_home(tmp_path / "other", "hills", b"a passphrase")
    before = contents(tmp_path / "other")
    with pytest.raises(OperatorError, match="home of fleet hills, and the backup is of fleet"):
        put_back(tmp_path / "other", file, world.now)
    assert contents(tmp_path / "other") == before


def test_a_folder_with_something_else_in_it_is_no_home(
    world: World, file: Path, tmp_path: Path
) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("Dear")
    with pytest.raises(OperatorError, match="is not empty, and has no root"):
        put_back(tmp_path / "letters", file, world.now)
    (tmp_path / "new").mkdir()
    for name in ("order.key", "report.key"):
        shutil.copyfile(world.home.path / name, tmp_path / "new" / name)
    assert put_back(tmp_path / "new", file, world.now).missing == []


def test_a_backup_of_a_newer_schema_is_refused_before_it_is_unpacked(
    world: World, file: Path, tmp_path: Path
) -> None:
    change(file, lambda manifest: manifest | {"revision": "9999", "modelwave": "9.9"})
    with pytest.raises(OperatorError, match=r"schema '9999'.*use modelwave 9\.9"):
        put_back(tmp_path / "new", file, world.now)
    assert not (tmp_path / "new").exists()


def test_an_interrupted_restore_can_be_run_again(
    world: World, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each file that is moved. Before the last one the folder is not a home, so nobody begins a
    new database in it."""
    for stop in range(len(names(file)) - 1):
        new = tmp_path / f"new{stop}"
        with monkeypatch.context() as patched:
            patched.setattr(restore, "_move", stopping_after(stop))
            with pytest.raises(Interrupted):
                put_back(new, file, world.now)
        assert not (new / "root.json").exists()
        put_back(new, file, world.now, force=True)
        assert Home(new).config.fleet == FLEET
        assert not list(tmp_path.rglob(".modelwave-*"))


def stopping_after(moves: int) -> Callable[[Path, Path], None]:
    move, left = restore._move, [None] * moves

    def stopping(source: Path, place: Path) -> None:
        if not left:
            raise Interrupted(signal.SIGINT)
        left.pop()
        move(source, place)

    return stopping


# Damaged and hostile files.


def change(file: Path, to: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Writes the backup anew with another manifest."""
    with tarfile.open(file) as archive:
        entries = [(m, archive.extractfile(m).read()) for m in archive]  # type: ignore[union-attr]
    manifest = json.dumps(to(json.loads(entries[0][1]))).encode()
    entries[0][0].size = len(manifest)
    entries[0] = (entries[0][0], manifest)
    with tarfile.open(file, "w", format=tarfile.USTAR_FORMAT) as archive:
        for member, data in entries:
            archive.addfile(member, io.BytesIO(data))


def hostile(file: Path, *members: tarfile.TarInfo, data: bytes = b"") -> None:
    """Adds entries to the backup, of which its manifest speaks too."""
    digest = hashlib.sha256(data).hexdigest()
    new = [{"name": member.name, "size": len(data), "sha256": digest} for member in members]
    change(file, lambda manifest: manifest | {"entries": manifest["entries"] + new})
    with tarfile.open(file, "a", format=tarfile.USTAR_FORMAT) as archive:
        for member in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def refused(file: Path, *words: str) -> None:
    new = file.parent / "new"
    with pytest.raises(TrustError) as caught:
        put_back(new, file, NOW)
    assert "nothing was changed" in str(caught.value)
    for word in words:
        assert word in str(caught.value), caught.value
    assert not new.exists()
    assert not list(new.parent.glob(".modelwave-*"))


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "/tmp/outside",
        "targets/../../outside",
        "targets/..",
        "files/../order.key",
        "order.key",
        "offline/root-1.key",
        "releases/digits/1/sub/linux-cpu.json",
        "targets/.hidden",
        "modelwave.db-wal",
        "targets/a\nb",
    ],
)
def test_an_entry_with_another_name_is_refused(copied: Path, name: str) -> None:
    hostile(copied, tarfile.TarInfo(name), data=b"harm")
    refused(copied, "is in no backup")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
)
def test_an_entry_that_is_no_ordinary_file_is_refused(copied: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("targets/link")
    member.type, member.linkname = kind, "/etc/passwd"
    hostile(copied, member)
    refused(copied, "is not an ordinary file")


def test_an_entry_twice_is_refused(copied: Path) -> None:
    hostile(copied, tarfile.TarInfo("targets/x"), tarfile.TarInfo("targets/x"), data=b"x")
    refused(copied, "names targets/x twice")


def test_an_entry_that_the_manifest_does_not_name_is_refused(copied: Path) -> None:
    with tarfile.open(copied, "a", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("targets/x"))
    refused(copied, "more in it than its manifest.json says")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"size": 2**20 + 1}, "more than 1048576 bytes"),
        ({"size": 2**40}, "size"),
        ({"size": -1}, "size"),
        ({"size": True}, "size"),
        ({"sha256": "0" * 64}, "has other bytes than"),
        ({"sha256": "no"}, "sha256"),
        ({"more": 1}, "more"),
    ],
)
def test_a_manifest_that_is_wrong_about_an_entry(
    copied: Path, changes: dict[str, Any], says: str
) -> None:
    def wrong(manifest: dict[str, Any]) -> dict[str, Any]:
        for entry in manifest["entries"]:
            if entry["name"] == "controller.toml":
                entry.update(changes)
        return manifest

    change(copied, wrong)
    refused(copied, says)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": 2}, "format"),
        ({"fleet": "hills"}, "its root.json is for fleet"),
        ({"entries": []}, "more in it than"),
        ({"made_at": "now"}, "made_at"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_manifest_that_is_wrong(copied: Path, changes: dict[str, Any], says: str) -> None:
    change(copied, lambda manifest: manifest | changes)
    refused(copied, says)


def test_a_damaged_database_in_a_backup_is_refused(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy(_file: Path, to: Path, _tell: object) -> str:
        to.write_bytes(b"nonsense" * 1000)
        return migrate.NEWEST

    monkeypatch.setattr(snapshot, "copy", copy)
    make(world.home, tmp_path / "fleet.tar", world.now)
    refused(tmp_path / "fleet.tar", "its database is damaged: it is not an SQLite")


@pytest.mark.parametrize("data", [b"", b"x", b"x" * 511, bytes(1024), b"PK" * 5000])
def test_a_file_that_is_no_backup(copied: Path, data: bytes) -> None:
    copied.write_bytes(data)
    refused(copied, "is not a whole backup of modelwave")


@settings(
    max_examples=200 if LONG else 15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_backup_with_wrong_bytes_is_refused_or_restored_as_it_was(
    copied: Path, data: st.DataObject
) -> None:
    """A wrong byte may be one of those that nothing depends on, such as the time of an entry."""
    whole, new = copied.read_bytes(), copied.parent / "new"
    changed = bytearray(whole)
    places = data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=5))
    for place in places:
        changed[place] ^= data.draw(st.integers(1, 255))
    del changed[data.draw(st.one_of(st.none(), st.integers(0, len(whole)))) :]
    copied.write_bytes(changed)
    try:
        put_back(new, copied, NOW)
    except ModelwaveError:
        assert not new.exists()
    else:
        assert (new / "files" / SHA256).read_bytes() == MODEL
        assert Home(new).config.fleet == FLEET
        shutil.rmtree(new)
    finally:
        copied.write_bytes(whole)


def rewritten(file: Path, name: str, to: Callable[[bytes], bytes]) -> None:
    """Changes an entry of the backup, and what its manifest says of it."""
    with tarfile.open(file) as archive:
        entries = {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]
    data = entries[name] = to(entries[name])
    manifest = json.loads(entries[MANIFEST])
    for entry in manifest["entries"]:
        if entry["name"] == name:
            entry.update(size=len(data), sha256=hashlib.sha256(data).hexdigest())
    entries[MANIFEST] = json.dumps(manifest).encode()
    with tarfile.open(file, "w", format=tarfile.USTAR_FORMAT) as archive:
        for one, its in entries.items():
            member = tarfile.TarInfo(one)
            member.size = len(its)
            archive.addfile(member, io.BytesIO(its))


def with_database_at(url: str) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(b'\nurl = ""', f'\nurl = "{url}"'.encode())


@pytest.mark.parametrize("place", ["victim", "new/order.key", "absent/fleet.db", "\\u0000"])
def test_a_backup_does_not_choose_where_its_database_goes(copied: Path, place: str) -> None:
    """It is not signed: a forged one would put any file of this user aside."""
    victim = copied.parent / "victim"
    victim.write_text("precious")
    rewritten(copied, "controller.toml", with_database_at(f"sqlite:///{copied.parent / place}"))
    with pytest.raises(ModelwaveError) as caught:
        put_back(copied.parent / "new", copied, NOW)
    assert "database" in str(caught.value)
    assert sorted(path.name for path in copied.parent.iterdir()) == ["fleet.tar", "victim"]
    assert victim.read_text() == "precious"


def test_the_settings_of_the_home_choose_where_the_database_goes(copied: Path) -> None:
    new, elsewhere = copied.parent / "new", copied.parent / "data" / "fleet.db"
    rewritten(copied, "controller.toml", with_database_at(f"sqlite:///{elsewhere}"))
    with pytest.raises(OperatorError, match=r"put that file into .*new first"):
        put_back(new, copied, NOW)
    new.mkdir()
    with tarfile.open(copied) as archive:
        settings = archive.extractfile("controller.toml")
        assert settings is not None
        (new / "controller.toml").write_bytes(settings.read())
    with pytest.raises(OperatorError, match=r"database\.url: there is no folder .*data"):
        put_back(new, copied, NOW)
    assert [path.name for path in new.iterdir()] == ["controller.toml"]
    elsewhere.parent.mkdir()
    put_back(new, copied, NOW)
    assert elsewhere.exists()
    assert not (new / DATABASE).exists()


def test_a_relative_place_of_the_database_is_in_the_home_that_is_restored(copied: Path) -> None:
    new = copied.parent / "new"
    rewritten(copied, "controller.toml", with_database_at("sqlite:///modelwave.db"))
    put_back(new, copied, NOW)
    assert (new / DATABASE).exists()
    assert Home(new).database_url == f"sqlite:///{new / DATABASE}"


@pytest.mark.parametrize("text", ['fleet = "hills"\n', "[[["])
def test_settings_that_stay_are_checked_before_anything_changes(copied: Path, text: str) -> None:
    new = copied.parent / "new"
    new.mkdir()
    (new / "controller.toml").write_text(text)
    with pytest.raises(OperatorError, match=r"controller\.toml: "):
        put_back(new, copied, NOW)
    assert [path.name for path in new.iterdir()] == ["controller.toml"]


def test_a_home_that_is_a_link_to_nowhere_is_named(copied: Path) -> None:
    (copied.parent / "new").symlink_to("nowhere")
    with pytest.raises(OperatorError, match=r"--home: .*new is not a folder"):
        put_back(copied.parent / "new", copied, NOW)


def test_settings_with_a_name_that_no_file_can_have_are_restored(copied: Path) -> None:
    long = b'ca = "' + b"x" * 999 + b'"'
    rewritten(copied, "controller.toml", lambda data: data.replace(b'ca = ""', long))
    assert "the broker's authority" in [
        what for _, what in put_back(copied.parent / "new", copied, NOW).missing
    ]


def test_restore_names_the_certificate_that_no_backup_has(copied: Path) -> None:
    def named(data: bytes) -> bytes:
        assert b'certificate = ""' in data
        return data.replace(b'certificate = ""', b'certificate = "ca/controller.pem"').replace(
            b'key = ""', b'key = "ca/controller.key"'
        )

    rewritten(copied, "controller.toml", named)
    missing = dict(put_back(copied.parent / "new", copied, NOW).missing)
    assert missing[str(copied.parent / "new" / "ca" / "controller.pem")]
    assert missing[str(copied.parent / "new" / "ca" / "controller.key")]


def test_an_entry_with_a_negative_size_is_refused(copied: Path) -> None:
    header = bytearray(copied.read_bytes()[:512])
    header[124:136] = (-512).to_bytes(12, "big", signed=True)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    copied.write_bytes(bytes(header) + copied.read_bytes()[512:])
    refused(copied, "manifest.json has a negative size")


def changed_database(statements: str) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.deserialize(data[:18] + b"\1\1" + data[20:])  # memory has no WAL
            connection.executescript(statements)
            return connection.serialize()

    return change


@pytest.mark.parametrize(
    ("statements", "says"),
    [
        ("DROP TABLE alembic_version", f"schema '0001', its manifest '{migrate.NEWEST}'"),
        (
            "UPDATE alembic_version SET version_num = '9999'",
            f"schema '9999', its manifest '{migrate.NEWEST}'",
        ),
        ("CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM events; END", "a trigger"),
        (
            "DROP TABLE floors; CREATE VIEW floors AS WITH RECURSIVE endless (seq) AS (SELECT 1 "
            "UNION ALL SELECT seq + 1 FROM endless) SELECT 'digits' AS model, seq FROM endless",
            "it has no table floors",
        ),
        ("DELETE FROM heads", "heads has no row event"),
    ],
)
def test_another_database_in_a_backup_is_refused(copied: Path, statements: str, says: str) -> None:
    rewritten(copied, DATABASE, changed_database(statements))
    refused(copied, says)


def test_the_database_of_another_program_in_a_backup_is_refused(copied: Path) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE x (y)")
        data = connection.serialize()
    rewritten(copied, DATABASE, lambda _: data)
    refused(copied, "schema '', its manifest")


def test_a_database_without_its_schema_in_the_manifest_is_not_left_out(copied: Path) -> None:
    change(copied, lambda manifest: manifest | {"revision": ""})
    refused(copied, "does not say which schema")


# The commands.


def test_backup_and_restore_say_what_they_did_and_what_is_next(
    world: World, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = run("backup", str(tmp_path / "fleet.tar")).out
    assert re.match(r"wrote .*fleet\.tar: \d+ files, [\d,]+ bytes\n", out)
    assert "not in it: offline, order.key, report.key; keep copies of the keys elsewhere" in out
    made = run("backup", str(tmp_path / "other.tar"), "--without-files", "--json").json()
    assert (made["files"], made["left_out"]) == (False, ["offline", "order.key", "report.key"])
    code = cli.run(["--home", str(tmp_path / "new"), "restore", str(tmp_path / "fleet.tar")])
    out = capsys.readouterr().out
    assert code == 0
    assert f"  1. Put back {tmp_path}/new/order.key: the key that signs orders." in out
    here = f"modelwave --home {tmp_path}/new"
    assert f"Start `{here} serve`" in out
    assert f"`{here} recover` compares the numbers of orders with the devices'. Until then" in out
    again = run("restore", str(tmp_path / "fleet.tar"))
    assert again.code == 2
    assert run("restore", str(tmp_path / "absent.tar")).err.startswith("modelwave: FILE: there is")


def test_a_database_that_was_restored_by_other_means_is_recovered_first(
    world: World, run: Run
) -> None:
    said = run("recover", "--restored").lines()
    assert "noted that the database was restored; 0 access tokens ended" in said[0]
    with pytest.raises(OperatorError, match="restored from a backup"):
        world.start(2)
    run("recover", "digits", "--yes").lines()
    world.start(2)


def test_who_answers_no_has_noted_no_restore_and_keeps_the_tokens(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.store.write() as connection:
        tokens.draw(connection, "eve", ADMIN, 3600, world.now, "local")
    answer = io.StringIO("n\n")
    monkeypatch.setattr(answer, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdin", answer)
    refused = run("recover", "--restored")
    assert refused.code == 1
    assert "All access tokens end" in refused.err
    world.start(2)
    assert "1 access token ended" in run("recover", "--restored", "--yes").lines()[0]


def test_the_commands_of_the_chapter_do_what_it_says(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    chapter = DOCS.read_text().split("### Backup and restore")[1].split("\n## ")[0]
    lines = [shlex.split(line) for line in re.findall(r"^    (\S.*)$", chapter, re.MULTILINE)]
    assert ["modelwave", "backup", "fleet.tar"] in lines
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODELWAVE_HOME", str(world.home.path))
    shutil.copyfile(world.home.path / "order.key", "order.key")
    for program, *arguments in lines:
        if program == "cp":
            shutil.copy(arguments[0], arguments[1])
        elif program == "modelwave" and "serve" not in arguments:
            assert run_here(arguments, capsys).code == 0, arguments
        else:
            assert program in ("pg_dump", "30", "modelwave")
    assert Home(tmp_path / "restored").order_key()
    kinds = [event.body.kind for event in events(Home(tmp_path / "restored"))]
    assert kinds[-2:] == ["restored", "recovered"]


def run_here(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> Ran:
    capsys.readouterr()
    code = cli.run(arguments)
    return Ran(code, *capsys.readouterr())


def test_two_backups_at_once_do_not_disturb_each_other(world: World, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.tar" for number in range(2)]
    threads = [
        threading.Thread(target=make, args=(Home(world.home.path), file, world.now))
        for file in files
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, file in enumerate(files):
        put_back(tmp_path / f"new{number}", file, world.now)
