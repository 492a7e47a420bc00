"""Tests two services of one database: one is killed or hangs at any point, the other takes over.

Release 1 goes to all devices; release 2 is bad and is reverted. The services are processes, with a
real broker and devices that answer at once. MODELWAVE_LONG=1 tests 20 points of each kind with the
lease as it is in production, and prints the seconds until the other service leads; an ordinary run
tests some with a short lease.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from postgres_server import needs_postgres
from rollout_world import FLEET, TARGET, Device, World, quick
from simulated_fleet import DEADLINE_SECONDS, SimulatedFleet, any_broker, poll
from sqlalchemy import create_engine, text

from modelwave_controller.rollout.state import FINAL, FINISHED, REVERTED
from modelwave_controller.service.link import WINDOW
from modelwave_controller.storage import lease, outbox
from modelwave_shared import topics

LONG = os.environ.get("MODELWAVE_LONG") == "1"
# Many in the long form: a stage then opens more topics than fit into one window.
DEVICES = 600 if LONG else 6
SHORT_LEASE_SECONDS = 1.0
SOME = [
    ("sqlite", "publish after 5"),
    ("postgresql", "commit after 4"),
    ("sqlite", "commit before 6"),
]
ALL = [
    (kind, f"{what} {side} {number}")
    for kind in ("sqlite", "postgresql")
    for what, side, numbers in (
        ("commit", "before", (2, 4, 6, 8, 10)),
        ("commit", "after", (1, 3, 5, 7, 9)),
        ("publish", "before", (1, 3, 60, 150, 300)),
        ("publish", "after", (2, 7, 50, 100, 250)),
    )
    for number in numbers
]
SOME_STOPS = [("postgresql", "publish before 7")]
ALL_STOPS = [(kind, point) for kind, point in ALL if "before" not in point or "publish" in point]

pytestmark = pytest.mark.e2e


class Services:
    """Starts services of one home; a and b are their process ids."""

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


@pytest.fixture(scope="module")
def forks() -> Iterator[Services]:
    made = Services()
    yield made
    made.close()


@pytest.fixture
def services(forks: Services) -> Iterator[Services]:
    yield forks
    forks.end_all()


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
    """The two rollouts under two services; the first gets into trouble, the second takes over."""

    def __init__(self, folder: Path, port: int, url: str, services: Services) -> None:
        self.folder, self.services = folder, services
        self.world = World(folder, url, devices=DEVICES, broker_port=port)
        toml = self.world.home.path / "controller.toml"
        toml.write_text(toml.read_text().replace('\nurl = ""\n', f'\nurl = "{url}"\n'))
        self.took = 0.0  # seconds from the trouble until the second one led

    def start(self, name: str, point: str, sure: float) -> None:
        home = self.world.home.path
        self.first = self.services.start(home, self.folder / "first.log", name, point, sure)
        poll(lambda: self.holder() == self.first)
        self.second = self.services.start(home, self.folder / "second.log")
        poll(lambda: "standing by" in self.log("second"))

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def holder(self) -> int:
        with self.world.store.read() as connection:
            found = lease.holder(connection)
        return found.pid if found else 0

    def measure(self) -> None:
        """Waits until the first one is in trouble and the second one leads."""
        poll(lambda: in_trouble(self.first))
        since = time.monotonic()
        poll(lambda: self.holder() == self.second)
        self.took = time.monotonic() - since

    def play(self) -> None:
        measuring = threading.Thread(target=self.measure)
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


def run(
    folder: Path, url: str, services: Services, name: str, point: str, sure: float = 0.3
) -> tuple[float, int]:
    """Returns the seconds until the second service led, and how many messages were published more
    than once."""
    with (
        any_broker(folder) as port,
        closing(Play(folder, port, url, services)) as play,
        closing(Listener(port)) as listener,
    ):
        bad = play.world.release(2)[TARGET].digest
        devices = [Device(device) for device in play.world.devices]
        for device in devices:
            device.boot = 2  # newer than what the world has heard

        def behave(_device: str, order: dict[str, Any]) -> str:
            return "ROLLED_BACK" if order["manifest"] == bad else "SUCCEEDED"

        play.start(name, point, sure)
        with closing(SimulatedFleet(port, devices, behave)):
            play.play()
            if name == "STOP":
                os.kill(play.first, signal.SIGCONT)
                poll(lambda: "publishes and stores nothing any more" in play.log("first"))
            assert play.statuses() == [FINISHED, REVERTED]
            held = {topic: payload for topic, payload in play.held().items() if payload}
            poll(lambda: listener.last == held)
            if name == "STOP":
                os.kill(play.second, signal.SIGTERM)
                poll(lambda: play.holder() == play.first)
            with closing(Listener(port)) as late:
                poll(lambda: late.last == held)
        assert "Traceback" not in play.log("first") + play.log("second")
        return play.took, listener.repeated


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("kind", "point"), cases(SOME, ALL))
def test_killed_there_another_takes_over_and_it_ends_as_if_nothing_had_been(
    tmp_path: Path, request: pytest.FixtureRequest, services: Services, kind: str, point: str
) -> None:
    url = database(kind, tmp_path, request)
    took, repeated = run(tmp_path, url, services, "KILL", point)
    print(f"{kind}, killed {point}: {took:.1f} s, {repeated} messages published again")
    assert repeated <= WINDOW


@pytest.mark.timeout(600)
@pytest.mark.parametrize("sure", [0.3, 1000], ids=["looks first", "sends the rest"])
@pytest.mark.parametrize(("kind", "point"), cases(SOME_STOPS, ALL_STOPS))
def test_one_that_hung_there_and_goes_on_puts_nothing_older_back(
    tmp_path: Path,
    request: pytest.FixtureRequest,
    services: Services,
    kind: str,
    point: str,
    sure: float,
) -> None:
    """One that looks at the lease first sends nothing more. If it did send the rest of its window,
    as far as it was handed to the connection, the other one publishes the right messages again."""
    url = database(kind, tmp_path, request)
    took, repeated = run(tmp_path, url, services, "STOP", point, sure)
    print(f"{kind}, hung {point}: {took:.1f} s, {repeated} messages published again")
    assert repeated <= (WINDOW if sure < 1 else 2 * WINDOW)
