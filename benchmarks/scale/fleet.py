"""A fleet of connected devices on a broker, and the service for it."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2] / "tests" / "controller"))

from rollout_world import World
from sqlalchemy import text
from test_service import running

LIMIT_SECONDS = 300
ROOT = Path(__file__).parents[2]


class Fleet:
    """The process with the devices (connected_devices.py)."""

    def __init__(self, port: int, number: int) -> None:
        command = [sys.executable, "-m", "benchmarks.scale.connected_devices"]
        self.process = subprocess.Popen(
            [*command, str(port), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self._said: list[dict[str, Any]] = []
        self._news = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def tell(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def wait(self, what: str, since: float) -> float:
        """Returns when `what` was reached first after `since`, in Unix seconds."""

        def found() -> list[float]:
            return [one["at"] for one in self._said if one["what"] == what and one["at"] >= since]

        with self._news:
            if not self._news.wait_for(found, LIMIT_SECONDS):
                raise TimeoutError(f"the devices are not {what}")
            return found()[0]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self._said.append(json.loads(line))
                self._news.notify_all()


@contextlib.contextmanager
def fleet_and_service(folder: Path, port: int, number: int) -> Iterator[tuple[Fleet, World]]:
    """Yields when all devices are connected and known."""
    with contextlib.ExitStack() as stack:
        begun = time.time()
        world = stack.enter_context(contextlib.closing(World(folder, broker_port=port)))
        stack.enter_context(running(folder, world.home.path, "serve"))
        fleet = stack.enter_context(contextlib.closing(Fleet(port, number)))
        fleet.wait("ready", begun)
        wait_until(lambda: scalar(world, "select count(*) from devices") == number)
        yield fleet, world


def row(world: World, query: str) -> Any:
    """Returns the first row, None if there is none."""
    with world.store.read() as connection:
        return connection.execute(text(query)).first()


def scalar(world: World, query: str) -> Any:
    with world.store.read() as connection:
        return connection.execute(text(query)).scalar()


def all_sent(world: World) -> bool:
    return not scalar(world, "select count(*) from outbox where acked < version")


def wait_until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("what was waited for did not come")
        time.sleep(0.05)
