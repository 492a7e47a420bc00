"""The controller: a database, and services that work on it.

A service is the real one (service/leading.py), but its link is simulated and its threads do not
run: `step` does what they do."""

import asyncio
import contextlib
import shutil
import sqlite3
import traceback
from collections import deque

from modelwave_controller.service.broker_address import broker_of
from modelwave_controller.service.leader import Candidate
from modelwave_controller.service.leading import Leading, Settings
from modelwave_controller.service.link import HEARD
from modelwave_controller.service.roots_in_use import RootsInUse
from modelwave_controller.service.sending import Issuer
from modelwave_controller.service.writer import Inbox
from modelwave_controller.storage import snapshot
from modelwave_controller.storage.lease import LeaseLost
from modelwave_controller.storage.proven import NOTHING_ASKED
from modelwave_controller.storage.store import Store
from tests.heal.broker import LATENCY_SECONDS, Lost
from tests.heal.fleet import FLEET

# Between two ticks without news: a tick costs real time. The seconds after which a gap would not
# count as time of a rollout are raised with it (histories.py).
TICK_SECONDS = 240
GAP_SECONDS = TICK_SECONDS + 60
EXPIRED_SECONDS = 4 * TICK_SECONDS  # in which the leader has renewed its lease
REACTION_SECONDS = 20  # in which news gather, as a batch costs real time too
RECONNECT_SECONDS = 5
SPACE_SECONDS = 0.0001  # between two packets
URLS = ["http://files.test"]


ENDED = set()  # the holders of a lease whose process is no more


def has_ended(found):
    """In the place of the one that looks whether the process runs: here all are one."""
    return found.holder in ENDED


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

    @property
    def leader(self):
        return next((s for s in self.services.values() if s.leading), None)

    def back_up(self):
        copy = self.path.with_name(f"backup-{len(self.backups)}.db")
        with (
            contextlib.closing(sqlite3.connect(self.path)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
        self.backups.append(copy)

    def restore(self, backup):
        """As `modelwave restore` does it, and then the services are started again."""
        with self._replaced(backup):
            now = self.world.controller_time
            snapshot.note_restored(self.store, now, now, "")

    def lose(self):
        """The services begin a new database."""
        with self._replaced(self.world.fleet.empty_database):
            pass

    @contextlib.contextmanager
    def _replaced(self, database):
        """Puts a copy of the file `database` into the place of the database. No service runs until
        the context ends."""
        names = list(self.services)
        self.close()
        shutil.copy(database, self.path)
        self.store = self.opened()
        yield
        for name in names:
            self.start(name)

    def close(self):
        for name in list(self.services):
            self.kill(name)
        self.store.close()
        for rest in self.path.parent.glob("modelwave.db*"):
            rest.unlink()


class SimulatedService:
    """It leads, or stands by."""

    def __init__(self, controller, name):
        self.world = controller.world
        self.name = name
        self.store = controller.opened()
        self.loop = asyncio.get_running_loop()
        self.frozen = False
        self.wake = asyncio.Event()
        home = self.world.fleet.home
        issuer = Issuer(home.root_document, self.world.fleet.order_key, URLS)
        self.settings = Settings(
            home=home,
            broker=broker_of(home),
            roots=RootsInUse(home, issuer),
            tick_seconds=TICK_SECONDS,
            clock=lambda: self.world.controller_time,
            steady=self.loop.time,
            inbox=Inbox(),
            policy=NOTHING_ASKED,
            stopping=None,
            wake=self.wake,
        )
        self.wake.set()
        self.candidate = Candidate(self.store, self.settings.clock, self.loop.time)
        self.leading = None
        self.link = ServiceLink(self)
        self.tasks = [self.loop.create_task(one) for one in (self.link.stay(), self._run())]

    def kill(self):
        ENDED.add(self.candidate.identity.holder)
        for task in self.tasks:
            task.cancel()
        self.link.lose()
        self.store.close()

    def step(self):
        """What the threads of a service do, once."""
        try:
            if self.leading is None:
                self._try_to_lead()
            if self.leading is not None:
                self._lead()
        except LeaseLost:
            self.leading = None
            self.link.lose()
        except Exception as error:  # the real service ends with it
            self.world.fault("service", "".join(traceback.format_exception(error)))

    def _try_to_lead(self):
        store = self.candidate.try_to_lead()
        if store is not None:
            self.leading = Leading(self.settings, store)
            self.leading.link = self.link
            self.leading._publish_roots()

    def _lead(self):
        leading = self.leading
        while leading.writer.write_batch(0):
            pass
        while leading._tick(looks=True):
            pass
        leading.store.note_link(leading.link.reaches)
        self.loop.call_later(leading._publish() + 1, self.wake.set)
        leading.store.renew()
        leading._answer()

    async def _run(self):
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.wake.wait(), TICK_SECONDS)
            await asyncio.sleep(REACTION_SECONDS)
            if not self.frozen:
                self.wake.clear()
                self.step()


class ServiceLink:
    """In the place of service/link.py's ServiceLink."""

    alive = True
    fleet = FLEET

    def __init__(self, service):
        self.service = service
        self.broker = service.world.broker
        self.current = None

    @property
    def reaches(self):
        return self.current is not None

    async def stay(self):
        while True:
            if self.current is None and self.service.leading and not self.service.frozen:
                self._connect()
            await asyncio.sleep(RECONNECT_SECONDS)

    def lose(self):
        if self.current:
            self.current.client.lose()

    def _connect(self):
        connection = Connection(self)
        try:
            connection.client = self.broker.connect(
                connection.client_id, self._receive, connection.end
            )
        except Lost:
            return
        self.current = connection
        connection.client.subscribe([topic(FLEET, "+") for topic in HEARD])
        self.service.wake.set()

    def _receive(self, topic, payload):
        if self.service.leading:
            self.service.leading._receive(topic, payload)
            self.service.wake.set()


class Connection:
    """In the place of service/connection.py's Connection."""

    def __init__(self, link):
        self.link = link
        self.client_id = f"CONTROLLER-{link.service.name}"
        self.client = None
        self.heard = None  # this broker keeps nothing back
        self.retained_messages = 0  # it brings them long before a probe is given up
        self._loop = link.service.loop
        self._sent = {}
        self._acked = deque()
        self._number = 0
        self._last = 0.0  # when the last packet arrives

    def on_their_way(self):
        return {message.topic for message in self._sent.values()}

    def send(self, message):
        self._number += 1
        self._sent[self._number] = message
        self._travel(self._arrive, self._number, message)

    burst = staticmethod(contextlib.nullcontext)

    def subscribe(self, filters, then):
        self._travel(self._ask, filters, then)

    def probe(self, topic, payload):
        self._travel(self.client.publish, topic, payload, False)

    def acknowledged(self):
        found = [self._sent.pop(number) for number in self._acked]
        self._acked.clear()
        return found

    def end(self):
        if self.link.current is self:
            self.link.current = None

    def _travel(self, arrive, *given):
        """The packets of a connection arrive in their order, or not at all."""
        pause = TICK_SECONDS if self.link.service.frozen else LATENCY_SECONDS
        self._last = max(self._loop.time() + pause, self._last + SPACE_SECONDS)
        self._loop.call_at(self._last, self._unless_lost, arrive, given)

    def _unless_lost(self, arrive, given):
        if self.link.service.frozen:
            return self._travel(self._unless_lost, arrive, given)  # it has not left yet
        with contextlib.suppress(Lost):
            arrive(*given)

    def _arrive(self, number, message):
        self.client.publish(message.topic, message.payload, True)
        self._acked.append(number)
        self.link.service.wake.set()

    def _ask(self, filters, then):
        self.client.subscribe(filters)
        then(True)
