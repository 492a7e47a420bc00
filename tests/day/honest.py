"""Honest devices, which report something new at a steady rate, and the time until the database has
each report: from then on every command and the page show it."""

import asyncio
import json
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from modelwave_controller.load.connection import Connection, User
from modelwave_controller.load.device import SimulatedDevice
from tests.controller.rollout_world import FLEET, TARGET

LOOK_SECONDS = 0.01  # between two looks at the database
HANDLED_SECONDS = 120  # in which the last report has to be stored; only a failing run waits so long
ADDRESS = "127.0.0.2"  # the flood comes from another one


class Telling(SimulatedDevice):
    """A device of which each report says something new, so that it is stored at once. `sent` has
    the time of each that is not stored, by its number."""

    def __init__(self, name: str) -> None:
        super().__init__(FLEET, name, TARGET, "digits", boot=1)
        self.sent: dict[int, float] = {}

    def report(self) -> bytes:
        document = json.loads(super().report()) | {"refused": f"nothing, in report {self.n}"}
        self.sent[self.n] = time.monotonic()
        return json.dumps(document).encode()


class Honest:
    """The devices, in an event loop of their own thread. `lost`: their connections that ended."""

    def __init__(self, port: int, names: list[str], password: str) -> None:
        self.devices = {name: Telling(name) for name in names}
        self.lost = 0
        self.late: list[float] = []  # the seconds that each stored report took
        self._port, self._password = port, password
        self._connections: list[Connection] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def connect(self) -> None:
        """Returns when all are connected and have reported."""
        asyncio.run_coroutine_threadsafe(self._connect(), self._loop).result()

    def report(self, database: Path, seconds: float) -> list[float]:
        """Lets each device report once a second, all at different times, for so many seconds.
        Returns how many seconds each report took."""
        self.late = []
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            told = asyncio.run_coroutine_threadsafe(self._report(seconds), self._loop)
            while not told.done():
                self._look(connection)
                time.sleep(LOOK_SECONDS)
            told.result()
            end = time.monotonic() + HANDLED_SECONDS
            while self.missing and time.monotonic() < end:
                self._look(connection)
                time.sleep(LOOK_SECONDS)
        return self.late

    @property
    def missing(self) -> int:
        """The number of reports that are not stored."""
        return sum(len(device.sent) for device in self.devices.values())

    def close(self) -> None:
        for connection in self._connections:
            self._loop.call_soon_threadsafe(connection.abort, "the end")
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(_ended(asyncio.all_tasks(self._loop)))
        self._loop.close()

    async def _connect(self) -> None:
        for device in self.devices.values():
            ready = asyncio.Event()
            user = User(device.name, self._password)
            one = Connection(device, user, ready.set, lambda _topic, _payload: None)
            await self._loop.create_connection(
                lambda one=one: one, "127.0.0.1", self._port, local_addr=(ADDRESS, 0)
            )
            one.over.add_done_callback(self._count_lost)
            self._connections.append(one)
            await ready.wait()

    def _count_lost(self, _over: object) -> None:
        self.lost += 1

    async def _report(self, seconds: float) -> None:
        pause = 1 / len(self._connections)
        due = begun = self._loop.time()
        while due < begun + seconds:
            for connection in self._connections:
                await asyncio.sleep(due - self._loop.time())
                connection.report()
                due += pause

    def _look(self, connection: sqlite3.Connection) -> None:
        found = connection.execute("select device, n from devices").fetchall()
        now = time.monotonic()
        for name, newest in found:
            device = self.devices.get(name)
            for number in list(device.sent) if device else ():
                if device and number <= newest:
                    self.late.append(now - device.sent.pop(number))


async def _ended(tasks: set[asyncio.Task[Any]]) -> None:
    """Ends what Ctrl-C left under way."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
