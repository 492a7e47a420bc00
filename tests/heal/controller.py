"""The controller: a database, and services that work on it.

A service is the real one (service/serve.py), but its link is simulated and its threads do not run:
`step` does what they do."""

import asyncio
import contextlib
import shutil
import sqlite3
from collections import deque

from modelwave_controller.errors import ModelwaveError
from modelwave_controller.service.link import HEARD
from modelwave_controller.service.sending import Issuer
from modelwave_controller.service.serve import Service
from modelwave_controller.service.tick import Ticker
from modelwave_controller.storage.store import Store
from tests.heal.broker import LATENCY_SECONDS, Lost
from tests.heal.fleet import FLEET

# Between two ticks without news: a tick costs real time. The seconds after which a gap would not
# count as time of a rollout are raised with it (histories.py).
TICK_SECONDS = 240
GAP_SECONDS = TICK_SECONDS + 60
REACTION_SECONDS = 20  # in which news gather, as a batch costs real time too
RECONNECT_SECONDS = 5
URLS = ["http://files.test"]


class Controller:
    """The database, and the services on it, by name."""

    def __init__(self, world, database):
        """`database`: the file that it begins with; a copy of it."""
        self.world = world
        self.path = world.folder / "modelwave.db"
        self.backups = []
        self.services = {}
        shutil.copy(database, self.path)
        self.store = self.opened()

    def opened(self):
        return Store(f"sqlite:///{self.path}")

    def start(self, name="first"):
        if name not in self.services:
            self.services[name] = SimulatedService(self, name)

    def kill(self, name="first"):
        service = self.services.pop(name, None)
        if service:
            service.kill()

    def back_up(self):
        copy = self.path.with_name(f"backup-{len(self.backups)}.db")
        with (
            contextlib.closing(sqlite3.connect(self.path)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
        self.backups.append(copy)

    def replace(self, database):
        """Puts the file `database` into the place of the database; the services are restarted."""
        names = list(self.services)
        self.close()
        shutil.copy(database, self.path)
        self.store = self.opened()
        for name in names:
            self.start(name)

    def lose(self):
        self.replace(self.world.fleet.empty_database)

    def close(self):
        for name in list(self.services):
            self.kill(name)
        self.store.close()
        for rest in self.path.parent.glob("modelwave.db*"):
            rest.unlink()


class SimulatedService:
    def __init__(self, controller, name):
        self.world = controller.world
        self.name = name
        self.store = controller.opened()
        self.loop = asyncio.get_running_loop()
        self.frozen = False
        home = self.world.fleet.home
        self.real = Service(home, self.store, clock=self._wall, steady=self.loop.time)
        self.wake = asyncio.Event()
        self.real.link = self.link = ServiceLink(self)
        self.ticker = Ticker(self.store, Issuer(home.root, self.real.key, URLS))
        self.tasks = [self.loop.create_task(one) for one in (self.link.stay(), self._run())]

    def kill(self):
        for task in self.tasks:
            task.cancel()
        self.link.lose()
        self.store.close()

    def step(self):
        """What the threads of a service do, once."""
        try:
            while self.real.writer.write_batch(0):
                pass
            while self.real._tick(self.ticker):
                pass
            self.real._publish()
        except ModelwaveError as error:
            self.world.fault("service", str(error))

    async def _run(self):
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.wake.wait(), TICK_SECONDS)
            await asyncio.sleep(REACTION_SECONDS)
            if not self.frozen:
                self.wake.clear()
                self.step()

    def _wall(self):
        return self.world.controller_time


class ServiceLink:
    """In the place of service/link.py's ServiceLink."""

    alive = True
    fleet = FLEET

    def __init__(self, service):
        self.service = service
        self.broker = service.world.broker
        self.current = None

    async def stay(self):
        while True:
            if self.current is None:
                self._connect()
            await asyncio.sleep(RECONNECT_SECONDS)

    def lose(self):
        if self.current:
            self.current.client.lose()

    def _connect(self):
        connection = Connection(self)
        try:
            connection.client = self.broker.connect(
                f"CONTROLLER-{self.service.name}", self._receive, connection.end
            )
        except Lost:
            return
        self.current = connection
        connection.client.subscribe([topic(FLEET, "+") for topic in HEARD])
        self.service.wake.set()

    def _receive(self, topic, payload):
        self.service.real.inbox.put(topic, payload)
        self.service.wake.set()


class Connection:
    """In the place of service/link.py's Connection."""

    def __init__(self, link):
        self.link = link
        self.client = None
        self.fresh = True
        self._sent = {}
        self._acked = deque()
        self._number = 0

    def on_their_way(self):
        return {message.topic for message in self._sent.values()}

    def send(self, message):
        self._number += 1
        self._sent[self._number] = message
        loop = self.link.service.loop
        loop.call_later(LATENCY_SECONDS, self._arrive, self._number, message)

    def acknowledged(self):
        found = [self._sent.pop(number) for number in self._acked]
        self._acked.clear()
        return found

    def end(self):
        if self.link.current is self:
            self.link.current = None

    def _arrive(self, number, message):
        with contextlib.suppress(Lost):
            self.client.publish(message.topic, message.payload, True)
            self._acked.append(number)
            self.link.service.wake.set()
