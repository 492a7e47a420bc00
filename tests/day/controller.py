"""The controller of the day: a home, `modelwave broker` and `modelwave serve`, each a process with
the day's clock. The broker keeps retained messages in memory, so it has lost them when it ends."""

import json
import signal
import sqlite3
import sys
from contextlib import closing

from modelwave_controller.demo.service import free_port
from tests.controller import rollout_world
from tests.day.parts import settle

BROKER, SERVICE = "broker", "serve"  # the commands
START_SECONDS = 300  # by the day's clock; only a failing run waits so long
TICK_SECONDS = "1"


class Controller:
    def __init__(self, running, clock):
        self.running = running
        self.clock = clock
        self.world = rollout_world.World(running.folder)
        self.home = self.world.home
        self.database = self.home.path / "modelwave.db"
        self.store = self.world.store
        self.files = f"127.0.0.1:{free_port()}"
        self.port = 0
        self.frozen = False

    def begin(self):
        self.start_broker()
        settle(self.home.path, self.port)
        settings = self.home.path / "controller.toml"
        settings.write_text(settings.read_text().replace("127.0.0.1:0", self.files, 1))
        self.start()

    def start_broker(self):
        """On the port that it had."""
        if BROKER not in self.running.running:
            self.port = self._started(BROKER, "--port", str(self.port))["port"]

    def start(self):
        if SERVICE not in self.running.running:
            self._started(SERVICE, "--tick-seconds", TICK_SECONDS)

    def kill(self, name, how=signal.SIGKILL):
        """Ends the broker or the service, also one that hangs."""
        process = self.running.running.pop(name, None)
        if process:
            process.send_signal(how)
            process.send_signal(signal.SIGCONT)
            process.wait()

    def freeze(self, frozen):
        """Lets the service hang, with what it was about to do, or go on."""
        process = self.running.running.get(SERVICE)
        if process:
            process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)
            self.frozen = frozen

    @property
    def leads(self):
        """Whether the service should lead now."""
        return SERVICE in self.running.running and not self.frozen

    def _started(self, command, *options):
        ready = self.running.folder / f"{command}.ready"
        ready.unlink(missing_ok=True)
        shifted = [sys.executable, "-m", "tests.day.shifted", str(self.clock), "controller"]
        line = [*shifted, "modelwave_controller", "--home", str(self.home.path), command, *options]
        self.running.start(command, [*line, "--ready-file", str(ready)])
        self.running.wait_for(command, ready, START_SECONDS)
        return json.loads(ready.read_text())

    def size(self):
        """Returns the bytes of the database, when its log has been written into it."""
        with closing(sqlite3.connect(self.database)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            (size,) = connection.execute("PRAGMA page_size").fetchone()
            return pages * size
