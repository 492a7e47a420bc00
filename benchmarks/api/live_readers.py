"""200 who follow the log while a rollout goes through a fleet of devices, and when the service is
killed: whether each gets every event once, and how long after its commit the last of them has it.

The service looks for new events twice a second, so half a second is part of each time."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median
from typing import Any

sys.path.append(str(Path(__file__).parents[2] / "tests" / "controller"))

from benchmarks.api.event_reader import EventReader
from benchmarks.api.known_service import cpu_seconds, persons
from benchmarks.scale.fleet import scalar
from benchmarks.scale.row import Row
from rollout_world import Device, World, quick
from simulated_fleet import SimulatedFleet, free_port
from test_service import Process, known, running

from modelwave_controller.operations import acts
from modelwave_controller.rollout.state import FINISHED

READERS, DEVICES = 200, 20
ACTS = 10  # of which the times are taken
WHILE_AWAY = 5  # acts while no service runs
LIMIT_SECONDS = 120.0
GOAL_SECONDS = 1.0
NEWEST = "select coalesce(max(id), 0) from events"


def rows(long: bool) -> Iterator[Row]:
    with (
        tempfile.TemporaryDirectory(prefix="modelwave-api-") as name,
        ExitStack() as on,
    ):
        folder = Path(name)
        broker = on.enter_context(running(folder, folder, "broker", "--port", "0"))
        world = on.enter_context(closing(World(folder, broker_port=broker.ready["port"])))
        settings = world.home.path / "controller.toml"
        listen = f'listen = "127.0.0.1:{free_port()}"'
        before, api = settings.read_text().split("[api]")
        api = api.replace('listen = "127.0.0.1:0"', listen, 1)  # readers come to the same again
        settings.write_text(f"{before}[api]{api}")
        devices = [Device(f"d{number}") for number in range(DEVICES)]
        fleet = SimulatedFleet(broker.ready["port"], devices, lambda _, _order: "SUCCEEDED")
        on.enter_context(closing(fleet))
        yield from _finished(_Measured(folder, world).rows())


def _finished(work: Coroutine[Any, Any, list[Row]]) -> list[Row]:
    """As asyncio.run, which keeps Ctrl-C back until the next await: what is awaited then is a
    process that Ctrl-C has ended too, and so a failure."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.run_until_complete(_end(asyncio.all_tasks(loop)))
        loop.close()


async def _end(tasks: Collection[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class _Measured:
    def __init__(self, folder: Path, world: World) -> None:
        self._folder = folder
        self._world = world
        self._tags = 0

    async def rows(self) -> list[Row]:
        world = self._world
        with running(self._folder, world.home.path, "serve", "--tick-seconds", "0.2") as service:
            await _until(lambda: known(world) == DEVICES)
            [token] = persons(world, ["reader"], "viewer")
            self._first = scalar(world, NEWEST)
            self._readers = [EventReader(service.ready["url"], token) for _ in range(READERS)]
            following = [asyncio.create_task(one.follow()) for one in self._readers]
            try:
                found = [
                    *await self._rollout(service),
                    await self._times(),
                    await self._killed(service),
                ]
            finally:
                for task in following:
                    task.cancel()
        return found

    async def _rollout(self, service: Process) -> list[Row]:
        await _until(lambda: all(one.connected for one in self._readers))
        spent, begun = cpu_seconds(service.process.pid), time.monotonic()
        world = self._world
        number = world.start(1, quick(10, 50, 100))
        await _until(lambda: world.state().rollouts[number].status == FINISHED)
        await self._all_have(scalar(world, NEWEST))
        spent, seconds = cpu_seconds(service.process.pid) - spent, time.monotonic() - begun
        detail = f"the service ran {spent:.1f} s in {seconds:.0f} s"
        return [self._whole(f"of a rollout, sent to {READERS} readers", detail)]

    async def _times(self) -> Row:
        seconds = []
        for _ in range(ACTS):
            event = await asyncio.to_thread(self._act)
            begun = time.monotonic()
            await self._all_have(event)
            seconds.append(max(one.arrived[event] for one in self._readers) - begun)
        detail = f"median of {ACTS}; at most {max(seconds):.2f} s"
        what = f"commit until the last of {READERS} readers has the event"
        return Row(what, median(seconds), GOAL_SECONDS, "s", detail)

    async def _killed(self, service: Process) -> Row:
        service.process.kill()
        await _until(lambda: not any(one.connected for one in self._readers))
        for _ in range(WHILE_AWAY):
            await asyncio.to_thread(self._act)
        begun = time.monotonic()
        service.process.communicate()
        with running(self._folder, self._world.home.path, "serve"):
            await _until(lambda: all(one.connected for one in self._readers))
            await self._all_have(await asyncio.to_thread(self._act))
            took = time.monotonic() - begun
            detail = f"all had them {took:.1f} s after the service was started again"
            return self._whole("around a kill -9 of the service", detail)

    def _whole(self, what: str, detail: str) -> Row:
        """Returns the row of the events that a reader has not, or has twice or out of order."""
        query = f"select id from events where id > {self._first} order by id"
        with self._world.store.read() as connection:
            every = [row[0] for row in connection.exec_driver_sql(query)]
        wrong = sum(one.ids[: len(every)] != every for one in self._readers)
        told = f"{len(every)} events; {detail}"
        return Row(f"events {what}: readers without exactly these", wrong, 0, "readers", told)

    def _act(self) -> int:
        """Gives a device a tag; returns the event's id."""
        self._tags += 1
        with self._world.store.write() as connection:
            acts.tag(connection, "d0", [f"t{self._tags}"], [], time.time(), "bench")
        return int(scalar(self._world, NEWEST))

    async def _all_have(self, event: int) -> None:
        await _until(lambda: all(one.ids and one.ids[-1] >= event for one in self._readers))


async def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("what was waited for did not come")
        await asyncio.sleep(0.02)
