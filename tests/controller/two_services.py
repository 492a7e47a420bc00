"""Two services of one database on one broker, for tests in which one gets into trouble.

The services are processes, with a real broker and devices that answer at once. With
MODELWAVE_LONG=1 the lease is as it is in production, otherwise it is a short one.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from postgres_server import needs_postgres
from rollout_world import FLEET, TARGET, Device, World, quick
from simulated_fleet import DEADLINE_SECONDS, SimulatedFleet, poll
from sqlalchemy import create_engine, text

from modelwave_controller.rollout.state import FINAL
from modelwave_controller.storage import lease, outbox
from modelwave_shared import topics

LONG = os.environ.get("MODELWAVE_LONG") == "1"
# Many in the long form: a stage then opens more topics than fit into one window.
DEVICES = 600 if LONG else 6
SHORT_LEASE_SECONDS = 1.0


class Services:
    """Starts services."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("standing_services.py")
        arguments = [] if LONG else [str(SHORT_LEASE_SECONDS)]
        self.process = subprocess.Popen(
            [sys.executable, str(script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pids: list[int] = []

    def start(
        self, home: Path, log: Path, name: str = "KILL", point: str = "never", sure: float = 0.3
    ) -> int:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{home} {log} {name} {sure} {point}\n")
        self.process.stdin.flush()
        pid = int(self.process.stdout.readline())
        self.pids.append(pid)
        return pid

    def end_all(self) -> None:
        while self.pids:
            with suppress(ProcessLookupError):
                os.kill(self.pids.pop(), signal.SIGKILL)

    def close(self) -> None:
        self.end_all()
        self.process.kill()
        self.process.communicate()


def database(kind: str, folder: Path, request: pytest.FixtureRequest) -> str:
    """The URL of a new, empty database."""
    if kind == "sqlite":
        return ""
    url: str = request.getfixturevalue("postgres_url")
    name = re.sub(r"\W", "_", folder.name.lower())
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return url.replace("/postgres?", f"/{name}?")


def cases(some: list[tuple[str, str]], every: list[tuple[str, str]]) -> Any:
    marks = {"sqlite": (), "postgresql": needs_postgres}
    return [pytest.param(*case, marks=marks[case[0]]) for case in (every if LONG else some)]


class Listener:
    """Hears all that is published under desired/ and root/, and what the broker retains."""

    def __init__(self, port: int) -> None:
        self.heard: Counter[tuple[str, bytes]] = Counter()
        self.last: dict[str, bytes] = {}
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        self._client.on_message = self._on_message
        stands = threading.Event()
        self._client.on_subscribe = lambda *_: stands.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe(
            [(topics.under(FLEET, kind, "#"), 1) for kind in ("desired", "root")]
        )
        assert stands.wait(DEADLINE_SECONDS)

    def _on_message(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        self.heard[message.topic, message.payload] += 1
        if message.payload:
            self.last[message.topic] = message.payload
        else:
            self.last.pop(message.topic, None)

    @property
    def repeated(self) -> int:
        """How many messages came again. A topic is cleared once after each of its orders."""
        orders = Counter(topic for topic, payload in self.heard if payload)
        return sum(
            count - 1 if payload else max(0, count - orders[topic])
            for (topic, payload), count in self.heard.items()
        )

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Play:
    """Two rollouts under two services: release 1 goes to all devices, release 2 is bad and is
    reverted. The first service gets into trouble, the second takes over."""

    def __init__(
        self,
        folder: Path,
        port: int,
        url: str,
        services: Services,
        devices: int = DEVICES,
        first_port: int | None = None,
    ) -> None:
        """`port` is the broker's, `first_port` where the first service connects to instead."""
        self.folder, self.services = folder, services
        self.world = World(folder, url, devices=devices, broker_port=port)
        self.first_home = self.world.home.path
        url = url or self.world.home.database_url
        toml = self.world.home.path / "controller.toml"
        toml.write_text(toml.read_text().replace('\nurl = ""\n', f'\nurl = "{url}"\n'))
        if first_port:
            self.first_home = folder / "first"
            shutil.copytree(self.world.home.path, self.first_home)
            text = toml.read_text().replace(f"127.0.0.1:{port}", f"127.0.0.1:{first_port}")
            (self.first_home / "controller.toml").write_text(text)
        self.took = 0.0  # seconds from the trouble until the second one led

    def start(self, name: str = "KILL", point: str = "never", sure: float = 0.3) -> None:
        log = self.folder / "first.log"
        self.first = self.services.start(self.first_home, log, name, point, sure)
        poll(lambda: self.holder() == self.first)
        self.second = self.services.start(self.world.home.path, self.folder / "second.log")
        poll(lambda: "standing by" in self.log("second"))

    def fleet(self, port: int) -> SimulatedFleet:
        bad = self.world.release(2)[TARGET].digest
        devices = [Device(device) for device in self.world.devices]
        for device in devices:
            device.boot = 2  # newer than what the world has heard

        def behave(_device: str, order: dict[str, Any]) -> str:
            return "ROLLED_BACK" if order["manifest"] == bad else "SUCCEEDED"

        return SimulatedFleet(port, devices, behave)

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def lease(self) -> lease.Lease:
        with self.world.store.read() as connection:
            return lease.stored(connection)

    def holder(self) -> int:
        return self.lease().pid

    def measure(self, trouble: Callable[[], bool]) -> None:
        """Waits until the first one is in trouble and the second one leads."""
        poll(trouble)
        since = time.monotonic()
        poll(lambda: self.holder() == self.second)
        self.took = time.monotonic() - since

    def play(self, trouble: Callable[[], bool]) -> None:
        measuring = threading.Thread(target=self.measure, args=(trouble,))
        measuring.start()
        for release in (1, 2):
            self.world.start(release, quick(10, 100))
            poll(lambda: all(status in FINAL for status in self.statuses()))
        measuring.join()
        assert self.took, "the point was never reached"
        poll(self.published)

    def statuses(self) -> list[str]:
        return [rollout.status for rollout in self.world.state().rollouts.values()]

    def published(self) -> bool:
        with self.world.store.read() as connection:
            return outbox.left(connection) == 0

    def held(self) -> dict[str, bytes]:
        """What each topic must hold."""
        with self.world.store.write() as connection:
            outbox.unsend_all(connection, FLEET)
            due = outbox.unsent(connection, 100_000)
            outbox.mark(connection, [(message.topic, message.version) for message in due])
        return {message.topic: message.payload for message in due}

    def close(self) -> None:
        self.services.end_all()
        self.world.close()


def in_trouble(pid: int) -> bool:
    """Returns whether the process was killed or is stopped."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state in "ZTX"
