"""`modelwave serve` is killed within the migration of a database of the first revision, starts
again, and is whole."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import counted_twice
import old_home
import pytest
from sqlalchemy import Engine, event

from modelwave_controller.storage import damage, migrate
from modelwave_controller.storage.store import Store

SERVES_SECONDS = 60
LONG = bool(os.environ.get("MODELWAVE_LONG"))

# Kills itself before the nth statement of the migration; 0: before its commit; -1: never.
PROGRAM = """
import os, sys
from sqlalchemy import Engine, event
from modelwave_controller import cli

folder, point, passed = sys.argv[1], int(sys.argv[2]), 0

def passes(connection, *_):
    global passed
    if connection.get_execution_options().get("modelwave_writes"):
        passed += 1
        if passed == point:
            os.kill(os.getpid(), 9)

def commits(connection):
    if point == 0 and connection.get_execution_options().get("modelwave_writes"):
        os.kill(os.getpid(), 9)

event.listen(Engine, "before_cursor_execute", passes)
event.listen(Engine, "commit", commits)
sys.exit(cli.run(["--home", folder, "serve"]))
"""


def home_at(folder: Path) -> Path:
    home = old_home.unpacked(folder)
    settings = home / "controller.toml"
    text = re.sub(r"(?m)^listen = .*$", 'listen = "127.0.0.1:0"', settings.read_text())
    text = re.sub(r'(?m)^url = "mqtt.*$', 'url = "mqtt://127.0.0.1:1"', text)
    settings.write_text(f'{text}\n[api]\nlisten = "127.0.0.1:0"\n')
    return home


def serve(home: Path, point: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", PROGRAM, str(home), str(point)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def revision(file: Path) -> str:
    with closing(sqlite3.connect(file)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_schema").fetchall()
        if ("alembic_version",) not in tables:
            return migrate.FIRST
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def events(file: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT id, kind, body FROM events ORDER BY id").fetchall()


def statements(home: Path) -> int:
    """Returns how many statements the migration has, up to its commit."""
    copied, count, is_done = home.parent / "counted.db", 0, False
    shutil.copyfile(home / "modelwave.db", copied)

    def passes(connection: object, *_: object) -> None:
        nonlocal count
        count += not is_done and writes(connection)

    def commits(connection: object) -> None:
        nonlocal is_done
        is_done = is_done or writes(connection)

    event.listen(Engine, "before_cursor_execute", passes)
    event.listen(Engine, "commit", commits)
    try:
        Store(f"sqlite:///{copied}").close()
    finally:
        event.remove(Engine, "before_cursor_execute", passes)
        event.remove(Engine, "commit", commits)
    return count


def writes(connection: Any) -> bool:
    return bool(connection.get_execution_options().get("modelwave_writes"))


def started_and_ended(home: Path) -> bytes:
    """Starts the service, which is killed at no point, ends it in order, and returns what it said
    until it served."""
    with serve(home, -1) as service:
        assert service.stdout is not None
        said = b""
        while b"modelwave serves" not in said:
            line = service.stdout.readline()
            assert line, said
            said += line
        service.send_signal(signal.SIGTERM)
        assert service.wait(SERVES_SECONDS) == 0
    return said


@pytest.mark.slow
def test_killed_at_points_of_the_migration_it_starts_again_and_is_whole(tmp_path: Path) -> None:
    home = home_at(tmp_path)
    file, last = home / "modelwave.db", statements(home)
    before = events(file)
    assert last > 20
    points = list(range(1, last + 1)) if LONG else [1, last // 3, 2 * last // 3, last]
    for point in (*points, 0):
        with serve(home, point) as killed:
            assert killed.wait(SERVES_SECONDS) == -signal.SIGKILL, point
        assert revision(file) == migrate.FIRST, point
        assert damage.found(file) == "", point
        assert events(file) == before
    said = started_and_ended(home)
    assert b"was migrated from revision 0001" in said
    assert revision(file) == migrate.NEWEST
    assert damage.found(file) == ""
    assert events(file)[: len(before)] == before


@pytest.mark.slow
def test_killed_while_it_counts_the_log_after_the_migration_it_counts_anew(tmp_path: Path) -> None:
    home = home_at(tmp_path)
    file, last = home / "modelwave.db", statements(home)
    before = events(file)
    with serve(home, last + 3) as killed:
        assert killed.wait(SERVES_SECONDS) == -signal.SIGKILL
    assert revision(file) == migrate.NEWEST
    assert damage.found(file) == ""
    started_and_ended(home)
    assert events(file)[: len(before)] == before
    with closing(Store(f"sqlite:///{file}")) as store, store.read() as connection:
        counted_twice.require_the_same(connection)
