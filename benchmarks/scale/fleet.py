"""A fleet of connected devices on a broker, and the service for it."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2] / "tests" / "controller"))

from benchmarks.scale.quiet import wait_quiet
from rollout_world import FLEET, TARGET, World
from sqlalchemy import text
from test_service import running

from modelwave_controller.load.processes import shares
from modelwave_controller.load.worker import Work
from modelwave_controller.rollout.state import FINISHED

LIMIT_SECONDS = 900
STILL_SECONDS = 60
DEVICES_OF_A_PROCESS = 5000
ROOT = Path(__file__).parents[2]


Said = dict[str, float]


class Fleet:
    """The processes with the devices (connected_devices.py); each connects from an address of its
    own. The rounds of a measurement are counted over all of them. `service`: the process id."""

    service: int

    def __init__(self, works: Sequence[Work]) -> None:
        self.number = sum(work.devices for work in works)
        self._news = threading.Condition()
        self._round = 0
        self._said: list[Said] = [{} for _ in works]
        command = [sys.executable, "-m", "benchmarks.scale.connected_devices"]
        self.processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
            for _ in works
        ]
        for index, work in enumerate(works):
            self._write(self.processes[index], work.line())
            threading.Thread(target=self._read, args=(index,), daemon=True).start()

    def tell(self, word: str) -> None:
        for process in self.processes:
            self._write(process, f"{word}\n".encode())

    def begin_round(self) -> None:
        """Returns when all processes count anew."""
        self._round += 1
        self.tell("round")
        self._wait("round", self._round * len(self.processes), lambda _: True)

    def wait_ready(self, since: float) -> float:
        """Returns when all were connected, after `since`, in Unix seconds."""
        return self._wait("ready", self.number, lambda said: said["ready_at"] >= since)

    def wait_served(self, devices: int) -> float:
        """Returns when so many devices were served in this round."""
        return self._wait("served", devices, lambda said: said["round"] == self._round)

    @property
    def served(self) -> int:
        """The number of devices that were served in this round."""
        return int(sum(said["served"] for said in self._said if said))

    def wait_quiet(self) -> None:
        """Returns when devices and service are at rest."""
        wait_quiet([self.service, *(process.pid for process in self.processes)])

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()

    def _wait(self, what: str, number: int, counts: Callable[[Said], bool]) -> float:
        def reached() -> bool:
            return sum(said[what] for said in self._said if said and counts(said)) >= number

        with self._news:
            if not self._news.wait_for(reached, LIMIT_SECONDS):
                found = [said.get(what, 0) for said in self._said]
                raise TimeoutError(f"{found} of {number} devices are {what}")
            return max(said.get(f"{what}_at", 0) for said in self._said if said)

    def _write(self, process: "subprocess.Popen[bytes]", line: bytes) -> None:
        assert process.stdin is not None
        process.stdin.write(line)
        process.stdin.flush()

    def _read(self, index: int) -> None:
        stdout = self.processes[index].stdout
        assert stdout is not None
        for line in stdout:
            with self._news:
                self._said[index] = json.loads(line)
                self._news.notify_all()


def work_of(world: World, port: int, number: int) -> Work:
    return Work(
        host="127.0.0.1",
        port=port,
        tls=None,
        user="",
        password="",
        source="",
        root=world.home.root_document,
        fleet=FLEET,
        target=TARGET,
        model="digits",
        prefix="d",
        first=0,
        devices=number,
        update_seconds=0,
        rolled_back=0,
        report_seconds=900,
    )


@contextlib.contextmanager
def fleet_and_service(
    folder: Path, port: int, works: Callable[[World], Sequence[Work]]
) -> Iterator[tuple[Fleet, World]]:
    """Yields when all devices are connected and known; the service's broker is at `port`."""
    with connected_fleet(folder, port, works) as (fleet, world):
        wait_known(fleet, world)
        yield fleet, world


@contextlib.contextmanager
def connected_fleet(
    folder: Path, port: int, works: Callable[[World], Sequence[Work]]
) -> Iterator[tuple[Fleet, World]]:
    with contextlib.ExitStack() as stack:
        begun = time.time()
        world = stack.enter_context(contextlib.closing(World(folder, broker_port=port)))
        service = stack.enter_context(running(folder, world.home.path, "serve"))
        fleet = stack.enter_context(contextlib.closing(Fleet(works(world))))
        fleet.service = service.process.pid
        fleet.wait_ready(begun)
        yield fleet, world


def wait_known(fleet: Fleet, world: World) -> None:
    wait_until(lambda: scalar(world, "select count(*) from devices") == fleet.number)


def at(port: int, number: int) -> Callable[[World], Sequence[Work]]:
    """The works of so many devices at one broker."""
    return lambda world: shares(
        work_of(world, port, number), max(2, -(-number // DEVICES_OF_A_PROCESS))
    )


def row(world: World, query: str) -> Any:
    """Returns the first row, None if there is none."""
    with world.store.read() as connection:
        return connection.execute(text(query)).first()


def scalar(world: World, query: str) -> Any:
    with world.store.read() as connection:
        return connection.execute(text(query)).scalar()


def all_sent(world: World) -> bool:
    return not scalar(world, "select count(*) from outbox where acked < version")


def ended(world: World, rollout: int) -> float:
    """Waits for the end of the rollout, with an answer of every device; returns when it came."""
    wait_until(lambda: world.state().rollouts[rollout].status == FINISHED)
    query = f"select max(at) from events where rollout = {rollout} and kind = 'finished'"
    return float(scalar(world, query))


def grown(world: World, query: str, number: int) -> int:
    """Waits until the number that the query finds is reached, has not grown for STILL_SECONDS, or
    LIMIT_SECONDS are over. Returns what it is then."""
    begun = grew = time.monotonic()
    found = 0
    while True:
        before, found, now = found, int(scalar(world, query)), time.monotonic()
        if found > before:
            grew = now
        if found >= number or now - grew > STILL_SECONDS or now - begun > LIMIT_SECONDS:
            return found
        time.sleep(1)  # it counts a whole table


def wait_until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("what was waited for did not come")
        time.sleep(0.05)
