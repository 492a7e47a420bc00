"""Tests that an older database is migrated when it is opened, completely or not at all, and that a
newer one is refused. A rollout that the older program began continues."""

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import old_home
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from operator_home import as_json, runner
from rollout_world import Device
from sqlalchemy import Connection, Engine, MetaData, create_engine, insert, inspect, select, text
from sqlalchemy.engine.interfaces import ReflectedIndex
from tests import quick_databases

from modelwave_controller.errors import StorageError
from modelwave_controller.operations import log_verifying
from modelwave_controller.rollout.events import Held
from modelwave_controller.rollout.state import FINISHED, RUNNING
from modelwave_controller.storage import (
    counting,
    deleted_answers,
    log,
    migrate,
    outbox,
    store,
    tables,
)
from modelwave_controller.storage.store import Store


@pytest.fixture(autouse=True)
def _as_the_product_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "_upgrade", quick_databases.run_scripts)


@pytest.fixture
def url(url: str) -> str:
    """An empty database."""
    if url.startswith("postgresql"):
        with engine_of(url) as engine:
            drop_everything(engine)
    return url


@contextmanager
def engine_of(url: str) -> Iterator[Engine]:
    made = create_engine(url)
    try:
        yield made
    finally:
        made.dispose()


def drop_everything(engine: Engine) -> None:
    found = MetaData()
    found.reflect(engine)
    found.drop_all(engine)


def make_first_tables(url: str) -> None:
    """A database as it was before there were migrations, with an event in it."""
    with engine_of(url) as engine, engine.begin() as connection:
        command.upgrade(migrate.alembic_config(connection), migrate.FIRST)
        connection.execute(text("DROP TABLE alembic_version"))
        held = {"id": 1, "rollout": 1, "at": 1.5, "kind": "held", "body": '{"kind":"held"}'}
        connection.execute(insert(tables.events).values(held))
        connection.execute(text("UPDATE heads SET value = 1 WHERE name = 'event'"))


def revision(url: str) -> str | None:
    with engine_of(url) as engine, engine.connect() as connection:
        return migrate.revision(connection)


def schema(engine: Engine) -> dict[str, Any]:
    """Everything about our tables, to compare."""
    found = inspect(engine)
    return {
        name: {
            "columns": [
                (c["name"], str(c["type"]), c["nullable"], c["default"])
                for c in found.get_columns(name)
            ],
            "key": found.get_pk_constraint(name)["constrained_columns"],
            "foreign": [
                (f["constrained_columns"], f["referred_table"], f["referred_columns"])
                for f in found.get_foreign_keys(name)
            ],
            "indexes": sorted(
                (str(i["name"]), i["column_names"], i["unique"]) for i in found.get_indexes(name)
            ),
        }
        for name in found.get_table_names()
        if name != "alembic_version"
    }


def test_the_known_revisions_are_those_of_the_scripts_in_one_line() -> None:
    with engine_of("sqlite://") as engine, engine.connect() as connection:
        scripts = ScriptDirectory.from_config(migrate.alembic_config(connection))
    found = [script.revision for script in scripts.walk_revisions()]
    assert tuple(reversed(found)) == migrate.KNOWN, "add the script's number to migrate.KNOWN"
    assert scripts.get_heads() == [migrate.NEWEST]


def test_the_migrations_make_the_tables_that_the_program_works_with(url: str) -> None:
    with closing(Store(url)), engine_of(url) as engine:
        migrated = schema(engine)
        drop_everything(engine)
        tables.metadata.create_all(engine)
        assert migrated == schema(engine)
        assert set(migrated) == set(tables.metadata.tables)
        drop_everything(engine)


def test_an_index_is_of_the_rows_that_its_table_says(url: str) -> None:
    said = {
        (table.name, str(index.name)): index.info.get("where", "")
        for table in tables.metadata.tables.values()
        for index in table.indexes
    }
    with closing(Store(url)), engine_of(url) as engine:
        found = {
            (name, str(index["name"])): _where(index)
            for name in tables.metadata.tables
            for index in inspect(engine).get_indexes(name)
        }
        drop_everything(engine)
    if url.startswith("sqlite"):
        assert found == said
    else:  # PostgreSQL writes conditions in its own way
        assert {key: bool(where) for key, where in found.items()} == {
            key: bool(where) for key, where in said.items()
        }


def _where(index: ReflectedIndex) -> str:
    options = index.get("dialect_options", {})
    return str(options.get("sqlite_where", options.get("postgresql_where", "")))


def test_a_database_from_before_the_migrations_is_brought_up_to_date(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    make_first_tables(url)
    assert revision(url) == "0001"
    with closing(Store(url)) as opened, opened.read() as connection:
        heads = dict(connection.execute(select(tables.heads.c.name, tables.heads.c.value)).all())
        assert connection.scalar(select(tables.events.c.kind)) == "held"
    assert revision(url) == migrate.NEWEST
    assert heads == {
        "schema": 2,
        "event": 1,
        "ticked": 0,
        "heard": 0,
        "members": 0,
        "counted": 1,
        "counters": counting.VERSION,
        "unnoted": 0,
    }  # 2: an older program refuses it
    with engine_of(url) as engine:
        assert "reads" in [column["name"] for column in inspect(engine).get_columns("devices")]
    assert f"from revision 0001 to {migrate.NEWEST}" in caplog.text
    caplog.clear()
    Store(url).close()
    assert not caplog.text


def test_the_log_of_an_older_database_gets_its_chain_across_the_answers_that_are_gone(
    url: str,
) -> None:
    """Answers 2 to 4 were counted, and 3 and 4 are deleted; 7 and 8 came late, and are deleted."""
    make_first_tables(url)
    answer = {"kind": "reported", "device": "d", "seq": 1, "outcome": "SUCCEEDED", "reason": ""}
    counted = {"kind": "condensed", "waves": [], "answers": 3}
    with engine_of(url) as engine, engine.begin() as connection:
        for number, body in ((2, answer), (5, counted), (6, {"kind": "held", "reason": "é"})):
            row = {"id": number, "rollout": 1, "at": 0.1 * number, "kind": body["kind"]}
            connection.execute(insert(tables.events).values(**row, body=json.dumps(body)))
        connection.execute(text("UPDATE heads SET value = 8 WHERE name = 'event'"))
    with closing(Store(url)) as opened:
        with opened.read() as connection:
            query = select(tables.heads.c.value).where(tables.heads.c.name == "unnoted")
            assert connection.scalar(query) == 2
            ranges = deleted_answers.between(connection, 0, 99, 99)
        assert [one[:2] for one in ranges] == [(3, 4), (7, 8)]
        found = log_verifying.verify(opened)
        assert (found.events, found.deleted, found.at) == (4, 4, 8)
        with opened.write() as connection:
            log.append(connection, 1, 9.0, [Held(reason="")])
            assert log.delete_answers(connection, 1, 99) == 1
        assert log_verifying.verify(opened, found.head).deleted == 5


def test_the_many_new_databases_of_tests_are_as_the_migrations_make_them(tmp_path: Path) -> None:
    def made(name: str) -> list[str]:
        url = f"sqlite:///{tmp_path / name}"
        Store(url).close()
        with closing(sqlite3.connect(tmp_path / name)) as connection:
            return list(connection.iterdump())

    by_the_scripts = made("scripts.db")
    with quick_databases.quick():
        assert [made("first.db"), made("next.db")] == [by_the_scripts] * 2


def test_a_new_database_is_nothing_to_tell(url: str, caplog: pytest.LogCaptureFixture) -> None:
    Store(url).close()
    assert revision(url) == migrate.NEWEST
    assert not caplog.text


@pytest.mark.parametrize("older", migrate.KNOWN[:-1])
def test_a_revision_that_was_set_back_is_damage_with_a_way_out(url: str, older: str) -> None:
    Store(url).close()
    with engine_of(url) as engine, engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": older})
    words = rf"revision {older}, and its tables.*damaged; `modelwave restore FILE`"
    with pytest.raises(StorageError, match=words):
        Store(url)
    assert revision(url) == older


def test_two_revisions_are_damage_with_a_way_out(url: str) -> None:
    Store(url).close()
    with engine_of(url) as engine, engine.begin() as connection:
        connection.execute(text("DELETE FROM alembic_version"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('0006'), ('0007')"))
    with pytest.raises(StorageError, match=r"damaged; `modelwave restore FILE`"):
        Store(url)


@pytest.mark.parametrize("newer", ["9999", "1a2b3c"])
def test_a_newer_database_is_refused_and_left_alone(url: str, newer: str) -> None:
    Store(url).close()
    with engine_of(url) as engine, engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": newer})
    with pytest.raises(StorageError, match=rf"revision '{newer}'.* up to {migrate.NEWEST}: use"):
        Store(url)
    assert revision(url) == newer


def test_tables_that_name_no_revision_are_refused(url: str) -> None:
    make_first_tables(url)
    with engine_of(url) as engine, engine.begin() as connection:
        connection.execute(text("UPDATE heads SET value = 99 WHERE name = 'schema'"))
    with pytest.raises(StorageError, match="version 99, and it names no revision"):
        Store(url)


def test_killed_in_the_middle_of_a_migration_it_leaves_the_old_schema(url: str) -> None:
    make_first_tables(url)
    program = (
        "import os, sys\n"
        "from modelwave_controller.storage import migrate, store\n"
        "whole = migrate.migrate\n"
        "def cut(connection):\n"
        "    whole(connection)\n"
        "    os.kill(os.getpid(), 9)\n"
        "migrate.migrate = cut\n"
        "store.Store(sys.argv[1])\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, url], check=False)
    assert ended.returncode == -signal.SIGKILL
    with engine_of(url) as engine:
        assert not inspect(engine).has_table("alembic_version")
        assert "reads" not in [column["name"] for column in inspect(engine).get_columns("devices")]
    Store(url).close()
    assert revision(url) == migrate.NEWEST


@pytest.mark.parametrize("begins", [make_first_tables, lambda _url: None], ids=["old", "new"])
def test_of_two_that_open_it_at_once_one_migrates(
    url: str, begins: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begins(url)
    both_have_looked = threading.Barrier(2)
    looked = threading.local()
    migrations: list[str | None] = []
    failures: list[BaseException] = []
    look, upgrade = migrate.revision, migrate._upgrade

    def look_together(connection: Connection) -> str | None:
        found = look(connection)
        if not getattr(looked, "once", False):
            looked.once = True
            both_have_looked.wait(30)
        return found

    def count(connection: Connection, before: str | None) -> None:
        migrations.append(before)
        upgrade(connection, before)

    monkeypatch.setattr(migrate, "revision", look_together)
    monkeypatch.setattr(migrate, "_upgrade", count)

    def open_it() -> None:
        try:
            Store(url).close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(migrations) == 1
    monkeypatch.undo()
    assert revision(url) == migrate.NEWEST


def test_a_migration_waits_for_a_writer_and_says_so_if_it_waits_in_vain(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "BUSY_SECONDS", 0.2)
    make_first_tables(url)
    with engine_of(url) as engine, engine.connect() as connection:
        connection.execute(text("UPDATE heads SET value = 2 WHERE name = 'event'"))
        with pytest.raises(StorageError, match=r"locked|lock timeout"):
            Store(url)
        connection.rollback()
    Store(url).close()
    assert revision(url) == migrate.NEWEST


def read_only(path: Path) -> str:
    return f"sqlite:///file:{path}?mode=ro&uri=true"


def test_a_database_that_cannot_be_written_is_read_if_nothing_is_due(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(Store(f"sqlite:///{path}")), closing(Store(read_only(path))) as opened:
        with opened.read() as connection:
            assert connection.scalar(select(tables.heads.c.value)) is not None
        with pytest.raises(StorageError, match=r"(?i)read.?only"), opened.write() as connection:
            connection.execute(text("DELETE FROM heads"))


def test_an_old_database_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    path = old_home.unpacked(tmp_path) / "modelwave.db"
    with pytest.raises(StorageError, match=r"(?i)read.?only"):
        Store(read_only(path))
    assert revision(f"sqlite:///{path}") == "0001"


def test_alembic_is_imported_only_where_a_migration_is_due(tmp_path: Path) -> None:
    """It takes as long to import as all else that a command needs."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    program = (
        "import sys\n"
        "from modelwave_controller.storage.store import Store\n"
        "Store(sys.argv[1]).close()\n"
        "print('alembic' in sys.modules)\n"
    )
    said = [
        subprocess.run([sys.executable, "-c", program, url], capture_output=True, check=True).stdout
        for _ in range(2)
    ]
    assert said == [b"True\n", b"False\n"]


def test_alembic_logs_nothing_of_its_own(tmp_path: Path) -> None:
    """Some of its messages come while it is imported; only a new process imports it anew."""
    program = (
        "import logging, sys\n"
        "from modelwave_controller.storage.store import Store\n"
        "logging.basicConfig(level=logging.INFO)\n"
        "Store(sys.argv[1]).close()\n"
    )
    url = f"sqlite:///{tmp_path / 'store.db'}"
    done = subprocess.run([sys.executable, "-c", program, url], capture_output=True, check=True)
    assert b"alembic" not in done.stderr


# The home of commit b56a209.


def test_a_command_on_an_older_home_migrates_it_and_tells_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODELWAVE_HOME", str(old_home.unpacked(tmp_path)))
    run = runner(capsys)
    status = as_json(run("rollout", "status", "--json"))
    assert (status["rollout"], status["status"]) == (2, RUNNING)
    rows = [(row["devices"], row["succeeded"], row["in_progress"]) for row in status["rows"]]
    assert rows == [(2, 2, 0), (4, 1, 1), (0, 0, 0), (0, 0, 0)]
    assert [e["status"] for e in as_json(run("rollout", "list", "--json"))] == [FINISHED, RUNNING]
    assert as_json(run("fleet", "status", "--json"))["devices"] == 12
    shown = as_json(run("device", "show", "d0", "--json"))
    assert (shown["target"], shown["reads"]) == (
        "linux-cpu",
        {"root": 1, "manifest": 1, "order": 1},  # as agents that do not say it read
    )
    assert as_json(run("device", "show", "d99", "--json"))["bad"]["count"] == 1


def test_a_rollout_of_the_older_program_goes_on_to_its_end(tmp_path: Path) -> None:
    with closing(old_home.world(tmp_path)) as world:
        with world.store.read() as connection:
            waiting = outbox.unsent(connection, 10_000)
        assert len(waiting) == 144
        world.tick()
        before = world.state().rollouts[2]
        assert (before.status, len(before.stages)) == (RUNNING, 2)
        for _ in range(3):
            asked = [device for device in world.devices.values() if is_asked(world, device)]
            world.answer("SUCCEEDED", asked)
            world.now += 1
            world.tick()
        state = world.state()
        after = state.rollouts[2]
        assert after.status == FINISHED, after.reason
        assert [len(stage.answers) for stage in after.stages] == [2, 4, 3, 3]
        assert {d.models["digits"]["seq"] for d in world.devices.values()} == {2, 3, 4, 5}
        assert state.seqs["digits"] == 6  # one order for all takes their place
        with world.store.read() as connection:
            assert not any(outbox.holds(connection, m.topic) for m in waiting)
        assert {order["seq"] for order in map(world.ordered, world.devices.values()) if order} == {
            6
        }


def is_asked(world: Any, device: Device) -> bool:
    order = world.ordered(device)
    return bool(order and order["manifest"] == world.release(2)["linux-cpu"].digest)
