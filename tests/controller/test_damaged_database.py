"""A file that is no database, or a damaged one: each command says so in one line."""

import asyncio
import errno
import os
import random
import shutil
import sqlite3
import struct
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from operator_home import Run, refused, runner
from rollout_world import World, quick

from modelwave_controller.errors import StorageError
from modelwave_controller.home import Home
from modelwave_controller.service.leading import Leading
from modelwave_controller.service.serve import Service
from modelwave_controller.storage import damage, log, outbox
from modelwave_controller.storage.store import LEAST_FREE, Store

COMMANDS = (
    ("fleet", "status"),
    ("rollout", "list"),
    ("device", "list"),
    ("rollout", "start", "digits", "2", "--wait-devices", "0"),
    ("serve",),
)
LONG = bool(os.environ.get("MODELWAVE_LONG"))


@pytest.fixture(scope="session")
def made_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with twelve devices that have answered to a rollout. Its database is one file."""
    with closing(World(tmp_path_factory.mktemp("damaged"), devices=12)) as world:
        world.shelve(1)
        world.shelve(2)
        world.start(1, quick(100))
        world.tick()
        world.answer("SUCCEEDED", world.devices.values())
        world.tick()
    return world.home.path


@pytest.fixture(scope="session")
def whole(made_home: Path) -> bytes:
    return (made_home / "modelwave.db").read_bytes()


@pytest.fixture
def home(tmp_path: Path, made_home: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    shutil.copytree(made_home, tmp_path / "damaged")
    monkeypatch.setenv("MODELWAVE_HOME", str(tmp_path / "damaged"))
    return Home(tmp_path / "damaged")


@pytest.fixture
def file(home: Home) -> Path:
    return home.path / "modelwave.db"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


KINDS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "noise": (lambda whole: noise(1, 5000), "not an SQLite database"),
    "text": (lambda whole: "Grüße\n".encode() * 900, "not an SQLite database"),
    "few bytes": (lambda whole: b"\x00", "not an SQLite database"),
    "a header and noise": (lambda whole: whole[:100] + noise(2, len(whole) - 100), ""),
    "half": (lambda whole: whole[: len(whole) // 2], "cut short"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_command_says_that_the_file_is_damaged_and_how_to_restore_it(
    run: Run, file: Path, whole: bytes, kind: str, command: tuple[str, ...]
) -> None:
    make, says = KINDS[kind]
    file.write_bytes(make(whole))
    refused(run(*command), "sqlite:///", "is damaged", says, "`modelwave restore FILE`", code=1)


@pytest.mark.parametrize(
    ("table", "command"),
    [
        ("events", ("rollout", "list")),
        ("events", ("rollout", "start", "digits", "2")),
        ("devices", ("device", "list")),
        ("device_models", ("fleet", "status")),
    ],
)
def test_a_damaged_page_in_the_middle(
    run: Run, file: Path, table: str, command: tuple[str, ...]
) -> None:
    with closing(sqlite3.connect(file)) as connection:
        query = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        ((page,),) = connection.execute(query, (table,))
        ((size,),) = connection.execute("PRAGMA page_size")
    with file.open("r+b") as opened:
        opened.seek((page - 1) * size)
        opened.write(noise(page, size))
    refused(run(*command), "is damaged", "`modelwave restore FILE`", code=1)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_file_that_the_system_does_not_open_is_not_called_damaged(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    def fails(_file: Path) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(damage, "_sizes", fails)
    refused(run(*command), f"database {file} cannot be read: Too many open files; mend", code=1)


def test_a_machine_without_a_free_thread_is_named(
    run: Run, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", fails)
        result = run("serve")
    refused(result, "this machine has no thread for it: end other programs", code=1)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_folder_in_place_of_the_database(run: Run, file: Path, command: tuple[str, ...]) -> None:
    file.unlink()
    file.mkdir()
    refused(run(*command), "is damaged: it is a folder", "`modelwave restore FILE`", code=1)


def test_an_empty_file_is_a_new_database(run: Run, file: Path) -> None:
    """SQLite leaves one when it is killed at its first opening: refusing it would leave such a home
    without a way out. A lost database is noticed by what the devices report."""
    file.write_bytes(b"")
    assert run("rollout", "list")[0] == 0
    file.unlink()
    file.write_bytes(b"")
    Path(f"{file}-wal").write_bytes(b"changes")
    refused(run("rollout", "list"), "it is empty, but has changes in its -wal file", code=1)


WRONG = {
    "a text that is not UTF-8": "UPDATE devices SET agent = CAST(x'ff00fe' AS TEXT)",
    "a number that is a text": "UPDATE devices SET boot = 'ten'",
    "a text that is a number": "UPDATE devices SET refused = x'00'",
    "half a JSON document": "UPDATE devices SET reads = '{\"order\": '",
    "an order's slots": "UPDATE orders SET slots = '[[0'",
    "an event's body": "UPDATE events SET body = CAST(x'7bff7d' AS TEXT)",
    "a list in place of an object": "UPDATE devices SET reads = '[]'",
    "a text in place of a number in it": 'UPDATE devices SET reads = \'{"order": "x"}\'',
    "half of the installs": "UPDATE devices SET installs = '[['",
    "installs without numbers": "UPDATE devices SET installs = '[[1]]'",
    "slots that are no pairs": "UPDATE orders SET slots = '[[5]]'",
    "an event that is a list": "UPDATE events SET body = '[]'",
    "an infinite time": "UPDATE devices SET seen_at = 9e999",
    "an infinite clock": "UPDATE clock SET seconds = -9e999",
    "a number beyond all": "UPDATE devices SET heard = 9223372036854775807",
}
LOST = {
    "the row of the clock": ("DELETE FROM clock", "clock has 0 rows instead of one"),
    "the row of the lease": ("DELETE FROM lease", "lease has 0 rows instead of one"),
    "the number of events": ("DELETE FROM heads WHERE name = 'event'", "heads has no row event"),
    "the newest number": ("UPDATE heads SET value = 0", "heads.event is below the newest event"),
    "a table that is a view": (
        "ALTER TABLE floors RENAME TO gone; CREATE VIEW floors AS SELECT * FROM gone",
        "it has no table floors",
    ),
    "what another program added": (
        "CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM events; END",
        "it has a trigger",
    ),
}


def test_a_database_whose_making_a_power_cut_broke_off_is_made_anew(tmp_path: Path) -> None:
    """Its first page has not come, though the file has its size; beside it is the journal by which
    SQLite undoes that page, as there was none before."""
    file = tmp_path / "new.db"
    file.write_bytes(bytes(4096))
    journal = b"\xd9\xd5\x05\xf9 \xa1c\xd7" + struct.pack(">5I", 0, 1, 0, 4096, 4096)
    (tmp_path / "new.db-journal").write_bytes(journal.ljust(4096, b"\0"))
    with closing(Store(f"sqlite:///{file}")) as store, store.read() as connection:
        assert log.newest_id(connection) == 0


def test_a_first_page_that_a_power_cut_left_half_written_is_read_from_the_wal_file(
    tmp_path: Path, file: Path
) -> None:
    """SQLite was putting the changes into the database, which it would do again."""
    left = tmp_path / "left.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("CREATE TABLE more (value)")
        connection.commit()
        left.write_bytes(bytes(512) + file.read_bytes()[512:])
        Path(f"{left}-wal").write_bytes(Path(f"{file}-wal").read_bytes())
    with closing(Store(f"sqlite:///{left}")) as store, store.read() as connection:
        assert log.newest_id(connection) > 0


def test_a_table_that_is_gone(run: Run, file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DROP TABLE devices")
    refused(run("device", "list"), "is damaged: it has no table devices", code=1)


@pytest.mark.parametrize("wrong", WRONG)
def test_a_value_that_modelwave_did_not_write_is_named(
    run: Run, file: Path, home: Home, wrong: str
) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(WRONG[wrong])
    assert " row 1" in damage.found(file)
    for command in COMMANDS[:-1]:
        code, _, err = run(*command)
        assert code in (0, 1, 2)
        if code == 1:
            assert "`modelwave restore FILE`" in err
            assert err.count("\n") == 1
    store = Store(home.database_url)
    with closing(store), pytest.raises(StorageError, match="is damaged"), store.read():
        raise TypeError("what the value causes")


@pytest.mark.parametrize("lost", LOST)
def test_what_each_database_has_from_the_beginning_is_missed(
    run: Run, file: Path, lost: str
) -> None:
    statements, says = LOST[lost]
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.executescript(statements)
    assert says in damage.found(file)
    for command in COMMANDS[:-1]:
        code, _, err = run(*command)
        assert code in (0, 1, 2)
        if code == 1:
            assert "`modelwave restore FILE`" in err


def test_what_sqlite_proves_is_damage_though_nothing_is_found(
    file: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of an index, which the check of the whole file leaves out."""
    monkeypatch.setattr(damage, "found", lambda _file: "")
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT_INDEX
    store = Store(home.database_url)
    with closing(store), pytest.raises(StorageError, match="malformed; `modelw"), store.read():
        raise error


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (sqlite3.SQLITE_BUSY, "find that process"),
        (sqlite3.SQLITE_FULL, "make room"),
        (sqlite3.SQLITE_READONLY_DIRECTORY, "must be allowed to write"),
        (sqlite3.SQLITE_CANTOPEN, "its folder must exist"),
        (sqlite3.SQLITE_IOERR_WRITE, "its disk has a fault"),
    ],
)
def test_an_error_of_the_database_says_what_to_do(home: Home, code: int, advice: str) -> None:
    error = sqlite3.OperationalError("SQLite says so")
    error.sqlite_errorcode = code
    store = Store(home.database_url)
    with closing(store), pytest.raises(StorageError, match=f"so; .*{advice}"), store.read():
        raise error


def test_an_error_of_a_full_disk_is_not_called_a_broken_one(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a running service SQLite cannot make its -shm there, and says that it is a fault."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
    usage = shutil.disk_usage(home.path)._replace(free=LEAST_FREE - 1)
    store = Store(home.database_url)
    with closing(store):
        monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage)
        with pytest.raises(StorageError, match="error; its disk is full: make room"), store.read():
            raise error


def test_a_wrong_value_in_a_table_without_row_numbers_is_named_by_its_device(file: Path) -> None:
    columns = "device, model, span, number, release, seconds, inferences, failures, labelled"
    insert = f"INSERT INTO window_spans ({columns}, correct, latency_count, latency_log, measures) "
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(
            f"{insert} VALUES ('d7', 'digits', 3600, 1, 1, 0, 0, 0, 0, 0, 0, 0.0, '{{')"
        )
    assert damage.found(file) == "window_spans.measures is not the JSON that it should be in row d7"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE window_spans SET measures = '', failures = 'x'")
    told = "window_spans.failures has a value of a wrong type in row d7"
    assert damage.found(file) == told


def test_a_topic_that_was_cleared_is_no_damage(file: Path) -> None:
    with closing(Store(f"sqlite:///{file}")) as store, store.write() as connection:
        outbox.put(connection, ["modelwave/1/meadow/desired/a/b/1"], b"order")
        outbox.put(connection, ["modelwave/1/meadow/desired/a/b/1"], b"")
    assert damage.found(file) == ""


def test_an_error_that_no_damage_caused_stays_what_it_is(file: Path, home: Home) -> None:
    with closing(Store(home.database_url)) as store:
        with pytest.raises(ZeroDivisionError), store.read():
            _ = 1 / 0
        with pytest.raises(StorageError, match="no such table") as caught, store.read() as opened:
            opened.exec_driver_sql("SELECT * FROM absent")
    assert "is damaged" not in str(caught.value)
    assert damage.found(file) == ""


def test_a_service_meets_damage_while_it_runs(
    home: Home,
    file: Path,
    whole: bytes,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It says so once, and does not end: files are served, and the database may come back."""
    settings = home.path / "controller.toml"
    text = settings.read_text().replace("127.0.0.1:8180", "127.0.0.1:0")
    settings.write_text(text.replace("127.0.0.1:8181", "127.0.0.1:0"))
    with closing(Store(home.database_url)) as store:
        service = Service(home, store, tick_seconds=0.05)
        ticks: list[Any] = []
        tick = Leading._tick

        def counted(leading: Leading, looks: bool) -> bool:
            ticks.append(leading)
            if len(ticks) == 2:
                with file.open("r+b") as opened:
                    opened.write(b"x" * len(whole))
                Path(f"{file}-wal").write_bytes(b"")
                store._engine.dispose()
            if len(ticks) == 6:
                service.stop()
            return tick(leading, looks)

        monkeypatch.setattr(Leading, "_tick", counted)
        asyncio.run(service.run(lambda _: None))
    said = [record for record in caplog.records if "is damaged" in record.getMessage()]
    assert 1 <= len(said) <= 3  # each part of the service says it once
    assert "Traceback" not in caplog.text


@settings(
    max_examples=400 if LONG else 25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_no_file_makes_a_traceback(
    home: Home, whole: bytes, capsys: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    """Random bytes, and a whole database with random bytes at random places."""
    changed = bytearray(whole)
    if data.draw(st.booleans()):
        for _ in range(data.draw(st.integers(1, 4))):
            start = data.draw(st.integers(0, len(changed) - 1))
            piece = data.draw(st.binary(min_size=1, max_size=200))
            changed[start : start + len(piece)] = piece
        del changed[data.draw(st.one_of(st.none(), st.integers(1, len(changed)))) :]
    else:
        changed = bytearray(data.draw(st.binary(min_size=1, max_size=3000)))
        if data.draw(st.booleans()):
            changed[:16] = damage.HEADER
    for command in COMMANDS[:-1]:
        _put(home.path / "modelwave.db", bytes(changed))
        code, _, err = runner(capsys)(*command)
        assert code in (0, 1, 2)
        assert code == 0 or err.count("\n") == 1 or "migrated" in err, err
        assert code != 1 or "restore" in err or "revision" in err, err


def _put(file: Path, data: bytes) -> None:
    for name in ("", "-wal", "-shm"):
        file.with_name(file.name + name).unlink(missing_ok=True)
    file.write_bytes(data)
