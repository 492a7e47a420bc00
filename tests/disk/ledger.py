"""The work of the controller on its database that sqlite.py records, in a process of its own:

    python -m tests.disk.ledger FOLDER HOME MARKS STATEMENT

It makes the database FOLDER/modelwave.db, stores what devices report and measure, leads two
rollouts to their end, one forward and one back, closes it and opens it again, and gives room back
to the disk. After each commit it writes a line to MARKS: whatever it does then, such as publish an
order or answer a command, relies on that commit. STATEMENT, if it is not "", is executed on each
connection.
"""

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from sqlalchemy import Connection, event

from modelwave_controller.storage.store import Store
from tests.controller import rollout_world
from tests.controller.observing_fleet import ObservingFleet, judging
from tests.controller.rollout_world import World

DEVICES = 8
STEPS = 7


def digest(connection: Connection) -> str:
    """Returns a digest of all that is in the tables of a database."""
    found = hashlib.sha256()
    query = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
    for (name,) in connection.exec_driver_sql(query).all():
        found.update(f"\n{name}\n".encode())
        rows = connection.exec_driver_sql(f"SELECT * FROM {name}").all()
        found.update("\n".join(sorted(map(repr, rows))).encode())
    return found.hexdigest()


class MarkedStore(Store):
    """Writes a mark after each commit."""

    descriptor = -1
    statement = ""

    def _migrate(self) -> None:
        if self.statement:
            event.listen(self._engine, "connect", self._weaken)
        super()._migrate()
        self._mark()

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        with super().write() as connection:
            yield connection
        self._mark()

    def _mark(self) -> None:
        with self.read() as connection:
            os.write(self.descriptor, f"{digest(connection)}\n".encode())

    def _weaken(self, connection: Any, _record: object) -> None:
        connection.execute(self.statement)


def work(folder: Path, home: Path) -> None:
    url = f"sqlite:///{folder / 'modelwave.db'}"
    world = World(home, url, devices=DEVICES)
    fleet = ObservingFleet(world, worse=0.4)
    fleet.bring_old()
    fleet.begin(judging("accuracy >= baseline - 0.1", stages=(50, 100)), before=2)
    for _ in range(STEPS):
        fleet.step()
    world.store.close()
    world.store = MarkedStore(url)
    world.ticker.store = world.writer.store = world.store
    fleet.step()
    world.store.vacuum()
    world.store._mark()
    fleet.step()
    world.close()


def main() -> None:
    folder, home, marks = map(Path, sys.argv[1:4])
    MarkedStore.descriptor = os.open(marks, os.O_WRONLY | os.O_CREAT, 0o600)
    MarkedStore.statement = sys.argv[4]
    with mock.patch.object(rollout_world, "Store", MarkedStore):
        work(folder, home)


if __name__ == "__main__":
    main()
