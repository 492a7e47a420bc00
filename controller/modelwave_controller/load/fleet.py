"""Keeps simulated devices connected, lets them take orders, and counts what happens. One event loop
holds some ten thousand of them."""

import asyncio
import random
import ssl
import time
from collections.abc import Iterable
from functools import partial
from math import inf
from typing import Any, NamedTuple

from modelwave_controller.load.connection import KEEP_ALIVE_SECONDS, Client, Connection, User
from modelwave_controller.load.device import Behaviour, SimulatedDevice
from modelwave_controller.load.gateway import SimulatedGateway
from modelwave_controller.load.tally import Tally
from modelwave_shared import documents, dsse
from modelwave_shared.words import MANIFEST, ORDER, ROLLED_BACK, SUCCEEDED

# As an agent's (its runner): pauses before a new connection, each by a fifth longer or shorter, and
# from the first again after a connection of a minute.
RECONNECT_SECONDS = (1, 2, 4, 8, 15, 30, 60)
JITTER = 0.2
STEADY_SECONDS = 60
CONNECTING = 200  # at a time: the system's queue for new connections is finite
CONNECT_SECONDS = 30
MAX_VERIFIED = 1000  # messages whose verdict is remembered
CLEARING_SECONDS = 60  # at the end, for all devices


class Place(NamedTuple):
    """Where the broker is. `source` is the address to connect from; "": any. One address has some
    28,000 ports to connect from."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    user: User
    source: str = ""


class Fleet:
    """`root`: the checked document by which orders are verified. A measurement may override what
    is not private."""

    def __init__(
        self,
        place: Place,
        root: dict[str, Any],
        behaviour: Behaviour,
        report_seconds: float,
    ) -> None:
        self.place = place
        self.root = root
        self.behaviour = behaviour
        self.report_seconds = report_seconds
        self.tally = Tally()
        self._connections: dict[str, Connection] = {}
        self._gateways: dict[str, SimulatedGateway] = {}
        self._standing: dict[str, Client] = {}  # of gateways
        self._opening: set[Client] = set()  # the broker may have heard of these
        self._tried: dict[str, tuple[str, ...]] = {}  # topics of whoever has tried to connect
        self._connecting = asyncio.Semaphore(CONNECTING)
        self._verified: dict[bytes, tuple[dict[str, Any], dict[str, Any]] | None] = {}
        self._chance = random.Random()
        self._loop = asyncio.get_running_loop()
        self._leaves = False

    async def run(
        self, devices: Iterable[SimulatedDevice], gateways: Iterable[SimulatedGateway] = ()
    ) -> None:
        """Runs until it is cancelled; then clears what the broker retains of them."""
        self._gateways = {one.name: one for one in gateways}
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._ping())
                for gateway in self._gateways.values():
                    tasks.create_task(self._keep_gateway(gateway))
                for device in devices:
                    tasks.create_task(self._keep(device))
                    if self.behaviour.observing.seconds:
                        tasks.create_task(self._observe(device))
        finally:
            await self._clear()

    async def _keep(self, device: SimulatedDevice) -> None:
        """Keeps a device connected, with the pauses of an agent."""
        failures = 0
        gateway = self._gateways.get(device.via)
        while True:
            if gateway:
                await gateway.is_up.wait()
            begun = time.monotonic()
            connection = await self._connected(device)
            if connection:  # it outlives this task, so that it can be cleared
                await asyncio.wait({connection.over})
            lasted = time.monotonic() - begun
            failures = 0 if lasted > STEADY_SECONDS else failures + 1
            pause = RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)]
            await asyncio.sleep(self._about(pause))

    async def _keep_gateway(self, gateway: SimulatedGateway) -> None:
        """Keeps a gateway connected, and lets it go down and come back."""
        up_seconds, down_seconds = self.behaviour.turns
        lasts = self._chance.expovariate(1 / up_seconds) if up_seconds else inf
        while True:
            ready = asyncio.Event()
            client = Client(gateway, self.place.user, ready.set)
            if await self._stood(client, ready):
                gateway.is_up.set()
                self._standing[gateway.name] = client
                begun = time.monotonic()
                await asyncio.wait({client.over}, timeout=None if lasts == inf else lasts)
                del self._standing[gateway.name]
                lasts -= time.monotonic() - begun
            if lasts > 0:
                await asyncio.sleep(self._about(RECONNECT_SECONDS[0]))
                continue
            self._goes_down(gateway, client)
            await asyncio.sleep(self._chance.expovariate(1 / down_seconds))
            lasts = self._chance.expovariate(1 / up_seconds)

    def _goes_down(self, gateway: SimulatedGateway, client: Client) -> None:
        """Cuts its connection and those for its devices: the broker sends the wills."""
        gateway.is_up.clear()
        self.tally.gateways_down += 1
        client.abort("the gateway goes down")
        for connection in [*self._connections.values()]:
            if connection.device.via == gateway.name:
                connection.abort("its gateway goes down")

    async def _connected(self, device: SimulatedDevice) -> Connection | None:
        """Connects, and waits until the device has reported or the connection is over."""
        ready = asyncio.Event()
        connection = Connection(
            device,
            self.place.user,
            ready.set,
            lambda topic, payload: self.hear(connection, topic, payload),
        )
        if not await self._stood(connection, ready):
            return None
        gateway = self._gateways.get(device.via)
        if gateway and not gateway.is_up.is_set():  # it went down meanwhile
            connection.abort("its gateway goes down")
            return None
        self.stands(connection)
        return connection

    async def _stood(self, connection: Client, ready: asyncio.Event) -> bool:
        """Connects; returns whether the broker has let it in, and it is ready."""
        place = self.place
        source = (place.source, 0) if place.source else None
        async with self._connecting:
            self._tried[connection.one.name] = connection.one.retained
            self._opening.add(connection)
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self._loop.create_connection(
                        lambda: connection, place.host, place.port, ssl=place.tls, local_addr=source
                    )
                    connection.over.add_done_callback(lambda _: ready.set())
                    await ready.wait()
            except (OSError, TimeoutError) as error:
                self.tally.problem = str(error) or "the broker does not answer in time"
                connection.abort(self.tally.problem)
            self._opening.remove(connection)  # not so if this task is cancelled
        if connection.over.done():
            self.tally.problem = connection.over.result()
        return not connection.over.done()

    def stands(self, connection: Connection) -> None:
        self.tally.connected += 1
        self.tally.most_connected = max(self.tally.most_connected, self.tally.connected)
        self.tally.reports += 1
        self._connections[connection.device.name] = connection
        connection.over.add_done_callback(partial(self._lost, connection))
        self._loop.call_later(self._about(self.report_seconds), self._report_again, connection)

    def _lost(self, connection: Connection, _over: "asyncio.Future[str]") -> None:
        del self._connections[connection.device.name]
        self.tally.connected -= 1
        self.tally.lost += not self._leaves

    def report(self, connection: Connection) -> None:
        """Reports over the connection that the device has now."""
        now = self._connections.get(connection.device.name)
        if now:
            now.report()
            self.tally.reports += 1

    def _report_again(self, connection: Connection) -> None:
        if not connection.over.done():
            self.report(connection)
            self._loop.call_later(self._about(self.report_seconds), self._report_again, connection)

    async def _observe(self, device: SimulatedDevice) -> None:
        """Sends the device's windows; those that end without a connection are lost."""
        by = self.behaviour.observing
        await asyncio.sleep(self._chance.uniform(0, by.seconds))  # agents begin at any time
        while True:
            await asyncio.sleep(by.seconds)
            connection = self._connections.get(device.name)
            payload = device.observe(by)
            if connection and payload:
                connection.observe(payload)
                self.tally.windows += 1

    def hear(self, connection: Connection, topic: str, payload: bytes) -> None:
        self.tally.received += 1
        if "/desired/" not in topic or not payload:
            return
        signed = self.signed(payload)
        if signed is None:
            self.tally.refused += 1
            return
        order, manifest = signed
        device = connection.device
        if not device.begins(order):
            return
        self.tally.reach(f"{order['model']}/{order['epoch']}/{order['seq']}", time.time())
        self.report(connection)
        longest = 0 if device.runs(order) else self.behaviour.update_seconds
        pause = self._chance.uniform(0, longest)
        self._loop.call_later(pause, self.end_update, connection, order, manifest)

    def end_update(
        self, connection: Connection, order: dict[str, Any], manifest: dict[str, Any]
    ) -> None:
        device = connection.device
        is_new = not device.runs(order)
        outcome = device.end(order, manifest, self.behaviour, self._chance)
        self.tally.succeeded += is_new and outcome == SUCCEEDED
        self.tally.rolled_back += outcome == ROLLED_BACK
        if outcome:
            self.report(connection)

    def signed(self, payload: bytes) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Returns the order and the manifest of a message; None if they are not signed under the
        root. The devices of a slot get the same bytes, which are verified once."""
        if payload not in self._verified:
            if len(self._verified) >= MAX_VERIFIED:
                self._verified.clear()
            try:
                first, second = payload.split(b"\n", 1)
                order = documents.open_signed(ORDER, dsse.read(first), self.root)
                manifest = documents.open_signed(MANIFEST, dsse.read(second), self.root)
                self._verified[payload] = order, manifest
            except ValueError:
                self._verified[payload] = None
        return self._verified[payload]

    def _about(self, seconds: float) -> float:
        return seconds * (1 + JITTER * self._chance.uniform(-1, 1))

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(KEEP_ALIVE_SECONDS / 2)
            for connection in (*self._connections.values(), *self._standing.values()):
                connection.ping()

    async def _clear(self) -> None:
        self._leaves = True
        for name in self._tried.keys() & (self._gateways.keys() - self._standing.keys()):
            ready = asyncio.Event()
            client = Client(self._gateways[name], self.place.user, ready.set)
            if await self._stood(client, ready):
                self._standing[name] = client
        opening = [one for one in self._opening if one.is_open]
        standing = [*self._connections.values(), *self._standing.values(), *opening]
        away = self._tried.keys() - {one.one.name for one in standing}
        others = [topic for name in away for topic in self._tried[name]]
        for connection in standing:
            connection.clear(others)
            others = []
        if standing:
            await asyncio.wait({one.over for one in standing}, timeout=CLEARING_SECONDS)
