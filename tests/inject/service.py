"""The real `modelwave serve` takes a good release and a bad one through their rollouts, and is
disturbed at one point. It is started again as systemd would; all must end as if nothing had
been."""

import asyncio
import contextlib
import hashlib
import shutil
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import make_url

from tests.inject.calls import Hit, Point, hit
from tests.inject.lives import Forker, Life, first_of
from tests.inject.tracing import Log

sys.path.append(str(Path(__file__).parents[1] / "controller"))

from rollout_world import FLEET, TARGET, Device, World, quick
from simulated_fleet import SimulatedFleet, poll, retained, retained_orders
from test_service_killed import published, result

from modelwave_controller.broker import EmbeddedBroker, EmbeddedBrokerSettings
from modelwave_controller.broker.connection import Connection
from modelwave_controller.broker.messages import Message
from modelwave_controller.operations import log_verifying
from modelwave_controller.operations.log_verifying import WrongLog
from modelwave_controller.rollout.state import FINAL
from modelwave_controller.storage import outbox
from modelwave_shared import topics
from modelwave_shared.words import ROLLED_BACK, SUCCEEDED

DEVICES = 6
TICK = "0.05"


class Played(NamedTuple):
    """`result`: of the rollouts, on the devices and on the broker; `log`: of strace."""

    result: dict[str, Any]
    faults: list[str]
    log: str


class Witness(EmbeddedBroker):
    """A broker that looks whether the database knows what is published as an order."""

    def __init__(self) -> None:
        super().__init__(EmbeddedBrokerSettings())
        self.database: str | None = None
        self.unknown: list[str] = []

    def take_in(self, message: Message, *, retain: bool) -> Connection | None:
        if topics.parts(FLEET, message.topic)[0] == "desired" and message.payload:
            digest = hashlib.sha256(message.payload).hexdigest()
            assert self.database is not None
            with closing(sqlite3.connect(self.database)) as read:
                known = read.execute("SELECT 1 FROM blobs WHERE sha256 = ?", [digest]).fetchone()
            if known is None:
                self.unknown.append(f"{message.topic} was published, and is not in the database")
        return super().take_in(message, retain=retain)


class Service:
    """The service of one home, which is started again whenever it has ended."""

    def __init__(self, forker: Forker, home: Path, point: Point | None) -> None:
        self.forker = forker
        self.home = home
        self.point = point
        self.log = Log()
        self.faults: list[str] = []
        self._stopping = False
        self._life: Life | None = None

    async def run(self) -> None:
        """Until `stop`; the first life is traced and disturbed."""
        point, log = self.point, self.log
        arguments = ["--home", str(self.home), "serve", "--tick-seconds", TICK]
        while not self._stopping:
            said = self.home.parent / "stderr"
            said.write_text("")
            async with self.forker.life(arguments, said, log, point) as self._life:
                if self._stopping:  # `stop` has only seen the life before, which had ended
                    self._life.send(signal.SIGTERM)
                await asyncio.wait([self._life.code])
            if not (self._stopping and self._life.end().code == -signal.SIGTERM):
                self.faults += self._life.end().problems("modelwave", point)
            point, log = None, None

    async def stop(self) -> None:
        """Ends it in order. Raises Hangs."""
        self._stopping = True
        assert self._life is not None
        self._life.send(signal.SIGTERM)
        await first_of("the end", self._life.code)


@contextlib.asynccontextmanager
async def served(forker: Forker, home: Path, point: Point | None) -> AsyncIterator[Service]:
    service = Service(forker, home, point)
    running = asyncio.create_task(service.run())
    try:
        yield service
        await running
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def first(forker: Forker, folder: Path) -> Played:
    """Undisturbed rollouts. Raises RuntimeError if they do not go well."""
    played = await _played(forker, folder / "undisturbed", None)
    if played.faults:
        raise RuntimeError(f"the service, undisturbed: {played.faults}")
    return played


async def play(
    folder: Path, undisturbed: Played, forker: Forker, point: Point
) -> tuple[list[str], Hit]:
    """Returns the faults, and then there is a folder of the point's name in `folder`."""
    played = await _played(forker, folder / str(point).replace(":", "-"), point)
    for what, right in undisturbed.result.items():
        if played.result.get(what) != right:
            told = f"{what}: {played.result.get(what)}, undisturbed it was {right}"
            played.faults.append(told)
    return played.faults, hit(played.log, point)


async def _played(forker: Forker, folder: Path, point: Point | None) -> Played:
    """Release 1 goes to all, release 2 is bad."""
    broker, found = Witness(), {}
    await broker.start()
    try:
        with closing(await asyncio.to_thread(_world, folder, broker.port)) as world:
            broker.database = make_url(world.home.database_url).database
            async with served(forker, world.home.path, point) as service:
                try:
                    found = await asyncio.to_thread(_rollouts, world, broker.port)
                except AssertionError as error:  # what was waited for did not come
                    service.faults.append(str(error))
                await service.stop()
            faults = [*service.faults, *broker.unknown]
            faults += await asyncio.to_thread(_problems, world, broker.port)
    finally:
        await broker.stop()
    log = service.log.text
    if not faults:
        shutil.rmtree(folder)
    return Played(found, faults, log)


def _world(folder: Path, port: int) -> World:
    folder.mkdir()
    return World(folder, devices=DEVICES, broker_port=port)


def _rollouts(world: World, port: int) -> dict[str, Any]:
    bad = world.release(2)[TARGET].digest
    devices = [Device(name) for name in world.devices]
    for device in devices:
        device.boot = 2  # newer than what the world has heard

    def behave(_device: str, order: dict[str, Any]) -> str:
        return ROLLED_BACK if order["manifest"] == bad else SUCCEEDED

    with closing(SimulatedFleet(port, devices, behave)) as fleet:
        for release in (1, 2):
            world.start(release, quick(10, 100))
            poll(lambda: all(one.status in FINAL for one in world.state().rollouts.values()))
        poll(lambda: published(world))
        newest = max(order["seq"] for order in retained_orders(port).values())
        fleet.wait_for(lambda: all(one["seq"] == newest for one in fleet.orders.values()))
        return _without_numbers(result(world, fleet, port))


def _without_numbers(found: dict[str, Any]) -> dict[str, Any]:
    """The result without the orders' numbers: a tick that fails leaves a gap in them."""
    rollouts = [
        rollout
        | {
            "waves": [
                ([(order.target, order.release, order.slots) for order in orders], answers)
                for orders, answers in rollout["waves"]
            ]
        }
        for rollout in found["rollouts"]
    ]
    orders = {
        place: {name: order[1:] for name, order in found[place].items()}
        for place in ("devices", "retained")
    }
    return {"rollouts": rollouts, "current": found["current"], **orders}


def _problems(world: World, port: int) -> list[str]:
    """What is wrong with the database, and with what the broker holds, when the service has ended
    in order."""
    found = []
    with world.store.read() as connection:
        rows = outbox.rows_under(connection, FLEET, ["desired"])
        (sound,) = connection.exec_driver_sql("PRAGMA integrity_check").scalars()
    if sound != "ok":
        found.append(f"the database is damaged: {sound}")
    wanted = {topic: held.digest for topic, held in rows.items() if held.digest}
    held = retained(port, "desired", "+", "+", "+")
    if wanted != {topic: hashlib.sha256(payload).hexdigest() for topic, payload in held.items()}:
        found.append("the broker holds other orders than the database")
    try:
        log_verifying.verify(world.store)
    except WrongLog as error:
        found.append(f"the log: {error}")
    return found
