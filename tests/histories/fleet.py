"""What every history begins with: a fleet of 50 devices on which release 1 is live, what they have
measured so far, the database of that, and what the broker retains. It is made once in a process."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from sqlalchemy import select

from modelwave_controller.storage import outbox, tables
from tests import quick_databases
from tests.controller.observing_fleet import OLD, WINDOW, ObservingFleet
from tests.controller.rollout_world import World
from tests.heal.fleet import memory

DEVICES = 50
BEFORE = 6  # windows of release 1


class Start:
    """The start of all histories. `world` has the home, its keys and releases."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="modelwave-histories-", dir=memory()))
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        with quick_databases.quick():
            self.world = World(self.folder, devices=DEVICES)
        observing = ObservingFleet(self.world)
        observing.bring_old()
        for window in range(BEFORE, 0, -1):
            observing.observe(age=(window - 1) * WINDOW + 1)
        self.world.tick()
        with self.world.store.read() as connection:
            topics = connection.scalars(select(tables.outbox.c.topic)).all()
            held = {topic: outbox.holds(connection, topic) for topic in topics}
        self.retained = {topic: payload for topic, payload in held.items() if payload}
        self.numbers = dict(observing.numbers)
        self.old_seq = observing.old_seq
        self.now = self.world.now
        self.world.close()
        self.database = self.world.home.path / "modelwave.db"
        self.digests = {
            n: one.digest for n in (OLD, OLD + 1) for one in self.world.release(n).values()
        }


@functools.cache
def start() -> Start:
    return Start()
