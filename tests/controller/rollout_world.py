"""A fleet for rollouts: a home, signed releases, a database, and devices that answer."""

import contextlib
import functools
import json
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from tests import lasting
from tests.controller import counted_twice

from modelwave_controller import home as homes
from modelwave_controller.errors import StorageError
from modelwave_controller.home import Home
from modelwave_controller.operations import rollouts, status
from modelwave_controller.operations.rollouts import Request
from modelwave_controller.releases.bundles import Signed
from modelwave_controller.results.rollouts import Status
from modelwave_controller.rollout.clock import GAP_SECONDS
from modelwave_controller.rollout.plan import Plan, make_plan
from modelwave_controller.rollout.state import Rollout, State
from modelwave_controller.service.sending import Issuer
from modelwave_controller.service.tick import Ticker
from modelwave_controller.service.writer import Inbox, Writer
from modelwave_controller.storage import log, outbox, tables
from modelwave_controller.storage.store import Store
from modelwave_controller.trust import keys, pkcs8
from modelwave_controller.trust.documents import Manifest, view
from modelwave_shared import digests, documents, dsse, topics, words
from modelwave_shared.slots import slot

FLEET = "meadow"
PASSPHRASE = b"a passphrase"
TARGET = "linux-cpu"
NO_BROKER = 1  # a port on which nothing answers


def manifest(release: int, target: str = TARGET, **changes: Any) -> dict[str, Any]:
    """A manifest that passes every check; its files are made up."""
    return {
        "fleet": FLEET,
        "model": "digits",
        "release": release,
        "version": f"v{release}",
        "target": target,
        "format": "tflite",
        "files": [
            {"role": "model", "sha256": f"{release:064x}", "size": 1000},
            {"role": "golden", "sha256": f"{release + 4096:064x}", "size": 500},
        ],
        "needs": {
            "flash": 1500,
            "ram": 8000,
            "kernels": ["SOFTMAX"],
            "runtime": "tflite",
            "accelerator": "",
        },
        "tolerance": {"kind": "labels", "least_ppm": 900000},
        "lineage": {"dataset": "digits", "metrics": {}, "quantisation": "int8"},
        "forced": "",
        "deltas": [],
    } | changes


@functools.cache
def _made_once() -> Path:
    """A home with an empty database, which each test copies. Reading its keys takes as long as
    making them: 600,000 hashes in each test would be half of these tests' time."""
    folder = lasting.folder()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pkcs8, "PBKDF2_ROUNDS", 1000)
        made = homes.make_home(folder / "home", FLEET, PASSPHRASE)
    Store(made.database_url).close()
    return made.path


class World:
    """`now` stands still until a test moves it: then time passes, and the next tick does the ticks
    that a service would have done meanwhile. `jump` sets the wall clock and nothing else."""

    def __init__(
        self,
        folder: Path,
        url: str = "",
        devices: int = 0,
        broker_port: int = NO_BROKER,
        made: Path | None = None,
    ) -> None:
        """`made` is a home whose fleet goes on here, in a copy; else a new one."""
        shutil.copytree(made or _made_once(), folder / "home")
        settings = folder / "home" / "controller.toml"
        text = settings.read_text().replace("127.0.0.1:8180", "127.0.0.1:0")
        text = text.replace("127.0.0.1:8181", "127.0.0.1:0")
        settings.write_text(text.replace("127.0.0.1:1883", f"127.0.0.1:{broker_port}"))
        self.home = Home(folder / "home")
        self.release_key = keys.load_key(self.home.offline / "release.key", lambda: PASSPHRASE)
        self.store = Store(url or self.home.database_url)
        self.issuer = Issuer(
            self.home.root_document, self.home.order_key(), ["http://127.0.0.1:1/files"]
        )
        self.ticker = Ticker(self.store, self.issuer)
        self.inbox = Inbox()
        # Beside a service of its own, which a broker is for, the world has that one's clock.
        self.now = 1_800_000_000.0 if broker_port == NO_BROKER else time.time()
        self._jumped = 0.0
        self._ticked: float | None = None  # by the steady clock
        self.acknowledges = True  # the broker, each message at once
        self.writer = Writer(self.store, FLEET, self.inbox, clock=lambda: self.now)
        self.devices: dict[str, Device] = {}
        self.add(devices)

    def release(
        self, number: int, targets: Iterable[str] = (TARGET,), **changes: Any
    ) -> dict[str, Signed]:
        found = {}
        for target in targets:
            document = manifest(number, target, **changes)
            payload = keys.canonical(document)
            envelope = keys.sign(words.MANIFEST, payload, [self.release_key])
            typed = view(Manifest, document)
            found[target] = Signed(document, typed, envelope, digests.hexdigest(payload))
        return found

    def shelve(self, number: int, targets: Iterable[str] = (TARGET,), **changes: Any) -> None:
        """Stores the release like `modelwave release add`, but without its files."""
        for target, signed in self.release(number, targets, **changes).items():
            folder = self.home.releases / "digits" / str(number)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{target}.json").write_bytes(signed.envelope)

    def add(self, number: int, target: str = TARGET) -> list["Device"]:
        """As many new devices, known to the controller."""
        added = []
        for _ in range(number):
            device = Device(f"d{len(self.devices)}", target)
            self.devices[device.name] = device
            added.append(device)
        self.hear(added)
        return added

    def hear(self, devices: Iterable["Device"]) -> None:
        """Stores the devices' reports, as when they arrive."""
        for device in devices:
            self.inbox.put(topics.reported(FLEET, device.name), device.report())
        while self.writer.write_batch(0):
            pass

    def start(
        self,
        release: int,
        plan: Plan | None = None,
        targets: Iterable[str] = (TARGET,),
        actor: str = "",
        **changes: Any,
    ) -> int:
        """Starts it also where a gate of the plan cannot be judged."""
        releases, chosen = self.release(release, targets, **changes), plan or quick()
        blind = "a test" if chosen.names_gates else ""
        request = Request("digits", releases, (), chosen, 0, accept_blind=blind)
        return rollouts.start(self.store, request, self.now, actor)

    @property
    def steady(self) -> float:
        return self.now - self._jumped

    def jump(self, seconds: float) -> None:
        self.now += seconds
        self._jumped += seconds

    def tick(self) -> None:
        since = self.steady if self._ticked is None else self._ticked
        while (since := min(since + GAP_SECONDS, self.steady)) < self.steady:
            self._tick_at(since)
        self._tick_at(self.steady)
        self._ticked = self.steady

    def _tick_at(self, steady: float) -> None:
        self.acknowledge()
        while self.ticker.tick(steady + self._jumped, steady):
            self.acknowledge()

    def acknowledge(self) -> None:
        if self.acknowledges:
            with self.store.write() as connection:
                connection.execute(update(tables.outbox).values(acked=tables.outbox.c.version))

    def state(self) -> State:
        with self.store.read() as connection:
            return log.folded(connection)

    def ordered(self, device: "Device") -> dict[str, Any] | None:
        """Returns the order for the device that the broker has, or would have."""
        message = self.message_for(device)
        return order_in(message) if message else None

    def message_for(self, device: "Device") -> bytes | None:
        """Returns the message with the newest order on the three topics that the device reads."""
        target, name = device.target, device.name
        read = (
            topics.desired_slot(FLEET, target, "digits", slot(FLEET, name)),
            topics.desired_all(FLEET, target, "digits"),
            topics.desired_device(FLEET, name, "digits"),
        )
        with self.store.read() as connection:
            held = [outbox.holds(connection, topic) for topic in read]
        found = [message for message in held if message]
        return max(found, key=lambda message: int(order_in(message)["seq"]), default=None)

    def answer(self, outcome: str, devices: Iterable["Device"], reason: str = "") -> None:
        """Makes each of these devices that has an order answer to it."""
        answering = []
        for device in devices:
            order = self.ordered(device)
            if order is not None:
                device.take(order, outcome, reason)
                answering.append(device)
        self.hear(answering)

    def close(self) -> None:
        with contextlib.suppress(StorageError), self.store.read() as connection:
            counted_twice.require_the_same(connection)
        self.store.close()


def order_in(message: bytes) -> dict[str, Any]:
    """Returns the order in a message on a desired topic."""
    envelope = dsse.read(message.split(b"\n")[0])
    order: dict[str, Any] = documents.read(words.ORDER, envelope.payload)
    return order


READS_TODAY = {kind: words.READS[kind] for kind in words.SIGNER}  # as today's agents report
NO_RELEASE = {  # a model that waits for its first
    "release": 0,
    "sha256": "",
    "state": "idle",
    "epoch": 0,
    "seq": 0,
    "outcome": "",
    "reason": "",
}


class Device:
    """What a device would report."""

    def __init__(self, name: str, target: str = TARGET) -> None:
        self.name = name
        self.target = target
        self.boot, self.n = 1, 0
        self.models: dict[str, dict[str, Any]] = {"digits": dict(NO_RELEASE)}
        self.says: dict[str, Any] = {}  # what its reports hold beside, or instead

    def take(self, order: dict[str, Any], outcome: str, reason: str = "") -> None:
        held = self.models.get(order["model"], {"release": 0, "sha256": ""})
        changed = {"sha256": order["manifest"], "release": 1} if outcome == "SUCCEEDED" else {}
        self.models[order["model"]] = {
            "release": held["release"],
            "sha256": held["sha256"],
            "state": "idle" if outcome else "fetching",
            "epoch": order["epoch"],
            "seq": order["seq"],
            "outcome": outcome,
            "reason": reason,
        } | changed

    def report(self, **changes: Any) -> bytes:
        self.n += 1
        document = {
            "boot": self.boot,
            "n": self.n,
            "target": self.target,
            "agent": "test",
            "free": {"flash": 10**6, "ram": 10**6},
            "runtime": "tflite",
            "runtime_version": "2.14.0",
            "accelerator": "",
            "refused": "",
            "models": self.models,
            "reads": READS_TODAY,
        }
        return json.dumps(document | self.says | changes).encode()


def quick(*percents: float, **changes: Any) -> Plan:
    """A plan without soak, whose stages may be of one device: by default 10, 50, 100 %."""
    stage = {
        "soak_seconds": 0,
        "deadline_seconds": 100,
        "max_rolled_back_percent": 10,
        "max_failed_percent": 10,
        "max_rejected_percent": 10,
        "max_silent_percent": 10,
        "min_succeeded_percent": 80,
    } | changes.pop("stage", {})
    stages = [{"percent": percent} | stage for percent in percents or (10, 50, 100)]
    settings = {"stages": stages, "trial": {"seconds": 1}, "judge": {"least_devices": 1}}
    return make_plan(settings | changes)


def newest(world: World) -> Rollout:
    return list(world.state().rollouts.values())[-1]


def seen(world: World, wanted: str | None = None) -> Status:
    """What `rollout status` shows of the rollout `wanted`, or of the newest one."""
    with world.store.read() as connection:
        return status.StatusReader(connection, wanted).read(connection, world.now)
