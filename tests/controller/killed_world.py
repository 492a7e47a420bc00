"""A world whose service is a process of its own, which is killed at a commit and restarted."""

import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

from rollout_world import FLEET, Device, World
from sqlalchemy import Connection, update

from modelwave_controller.service.tick import Ticker
from modelwave_controller.service.writer import Inbox, Writer
from modelwave_controller.storage import clock, tables
from modelwave_controller.storage.store import Store
from modelwave_shared import topics

NEVER = 0


class CountedStore(Store):
    """Kills this process before or after commit `number`."""

    def __init__(self, url: str, number: int, side: str) -> None:
        super().__init__(url)
        self.commits = 0
        self._number, self._side = number, side

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with super().write() as connection:
            yield connection
            self._pass("before", self.commits + 1)
        self.commits += 1
        self._pass("after", self.commits)

    def _pass(self, side: str, number: int) -> None:
        if (side, number) == (self._side, self._number):
            os.kill(os.getpid(), signal.SIGKILL)


class _Service:
    """What the child process runs: one command after the other, until there are no more."""

    def __init__(self, world: World, store: CountedStore) -> None:
        self.store = store
        self.ticker = Ticker(store, world.issuer)
        self.inbox = Inbox()
        self.now = 0.0
        self.writer = Writer(store, FLEET, self.inbox, clock=lambda: self.now)

    def hear(self, now: float, messages: list[tuple[str, bytes]]) -> None:
        self.now = now
        for topic, payload in messages:
            self.inbox.put(topic, payload)
        while self.writer.write_batch(0):
            pass

    def tick(self, wall: float, steady: float) -> None:
        self._acknowledge()
        while self.ticker.tick(wall, steady):
            self._acknowledge()

    def _acknowledge(self) -> None:
        with self.store.write() as connection:
            connection.execute(update(tables.outbox).values(acked=tables.outbox.c.version))


class KilledWorld(World):
    """Time stands still while its service restarts, so that a kill changes nothing but the state
    that was in memory. `commits` counts those of a service that nobody has killed."""

    def __init__(self, folder: Path, devices: int, number: int = NEVER, side: str = "") -> None:
        self.was_killed = False
        self.commits = 0
        self._trap = (number, side)
        self._process: Any = None
        self._first_steady: float | None = None
        super().__init__(folder)
        self._begin()
        self.add(devices)

    def close(self) -> None:
        self._pipe.close()
        self._process.join()
        super().close()

    def hear(self, devices: Iterable[Device]) -> None:
        for device in devices:
            self.inbox.put(topics.reported(FLEET, device.name), device.report())
        if messages := self.inbox.take(10**6, 0):
            self._do("hear", self.now, messages)

    def _tick_at(self, steady: float) -> None:
        if self._first_steady is None:
            self._first_steady = steady
        self._do("tick", steady, steady)

    def _do(self, *command: Any) -> None:
        """Has the service do it. One that is killed meanwhile is told again, as a broker and the
        time do it."""
        try:
            self._pipe.send(command)
            self.commits = self._pipe.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            assert self._process.exitcode == -signal.SIGKILL, "the service ended by itself"
            assert not self.was_killed
            self.was_killed, self._trap = True, (NEVER, "")
            self._begin()
            if self._first_steady is not None:
                with self.store.read() as connection:
                    reached = self._first_steady + clock.stored(connection).seconds
                self._do("tick", reached, reached)
            self._do(*command)

    def _begin(self) -> None:
        forking = multiprocessing.get_context("fork")
        self._pipe, theirs = forking.Pipe()
        self._process = forking.Process(target=self._serve, args=(theirs, self._pipe))
        self._process.start()
        theirs.close()

    def _serve(self, pipe: Pipe, ours: Pipe) -> None:
        ours.close()
        store = CountedStore(self.home.database_url, *self._trap)
        service = _Service(self, store)
        while True:
            try:
                name, *values = pipe.recv()
            except EOFError:
                return
            getattr(service, name)(*values)
            pipe.send(store.commits)
