"""A device on a disk that forgets: the agent's core with the ports of a host, and a world around it
(tests/agent/fakes.py). What it does outside, such as a report, is noted as facts, which must hold
for every state that a cut may leave."""

import asyncio
import contextlib
import hashlib
import io
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from modelwave_agent import journal, ports, root_store
from modelwave_agent import record as records
from modelwave_agent.banks import NAMES
from modelwave_agent.host.banks import HostBanks
from modelwave_agent.host.folders import make_folder
from modelwave_agent.host.patcher import HostPatcher
from modelwave_agent.journal import Journal
from modelwave_agent.root_walk import RootWalk
from modelwave_agent.runner import Agent
from modelwave_agent.types import Enrolment
from modelwave_agent.update import Update
from modelwave_shared import documents, ed25519, topics
from modelwave_shared.limits import MAX_JOURNAL_BYTES, MAX_ROOT_JOURNAL_BYTES
from tests.agent import fakes
from tests.disk.medium import ROOT, Disk, Moment, State, applied
from tests.disk.mounted import mounted
from tests.disk.words import EXTENDS

STATE = f"{ROOT}/state"
MODEL = "digits"
FOLDER = f"{STATE}/{MODEL}"
TURNS = 3000
HOPELESS_TURNS = 250  # on a disk that does not recover


class Facts(NamedTuple):
    """What the device has done outside, as far as its disk must know it."""

    floor: tuple[int, int] = (0, 0)  # the newest order that it acted on
    # SUCCEEDED was told for this order, of this manifest.
    confirmed: tuple[tuple[int, int], str] = ((0, 0), "")
    banned: frozenset[str] = frozenset()  # manifests of which a failed health check was told
    root: int = 1
    numbers: tuple[int, str] = (0, "")  # boot and install id of the newest report
    received: int = 0  # bytes of the model, once they were asked for
    phase: int = 0  # of the world around it

    def with_(self, other: "Facts") -> "Facts":
        """Both."""
        return Facts(
            max(self.floor, other.floor),
            max(self.confirmed, other.confirmed),
            self.banned | other.banned,
            max(self.root, other.root),
            max(self.numbers, other.numbers),
            max(self.received, other.received),
            max(self.phase, other.phase),
        )


class Life(NamedTuple):
    """One life of the device."""

    moments: list[Moment]
    faults: list[str]
    is_done: bool


class Device(fakes.World):
    """The world in one life."""

    agents, clocks = Agent, fakes.FakeClock

    def __init__(self, scene: Any, disk: Disk, facts: Facts) -> None:
        self.disk = disk
        super().__init__(STATE)
        self.scene = scene
        self.files = scene.files
        self.phase = facts.phase
        self.retained = dict(scene.retained[self.phase])
        self.notes = facts

    @property
    def off(self) -> bool:
        return self.disk.is_off

    @off.setter
    def off(self, is_off: bool) -> None:
        self.disk.is_off = is_off

    def call(self, do: Any, torn: Any = None) -> Any:
        if self.off:
            raise fakes.PowerCut
        return do()

    def note(self, **facts: Any) -> None:
        self.notes = self.notes._replace(**facts)
        self.disk.tell(self.notes)

    def boot(self) -> tuple[Agent, Update]:
        with contextlib.suppress(OSError):  # as the host's agent does it
            make_folder(Path(FOLDER))
        around = ports.Ports(
            Journal(FOLDER, "journal"),
            DeviceBanks(self),
            fakes.FakeRuntime(self),
            Fetcher(self),
            fakes.FakeHooks(self),
            fakes.FakeClock(self),
            fakes.FakeShadow(self),
            HostPatcher(),
        )
        root, problem = root_store.newest(STATE, fakes.ROOT)
        device = Enrolment(fakes.DEVICE.name, fakes.DEVICE.target, root)
        self.update = update = Update(MODEL, device, around)
        link, clock = Link(self), self.clocks(self)
        walk = RootWalk(device, STATE, clock, problem)
        boots = Journal(STATE, "device")
        agent = self.agents(device, {MODEL: update}, link, clock, boots, walk)
        agent.optional = tuple(one for one in agent.optional if one.topic != agent.reported)
        return agent, update

    def durable(self) -> Any:
        return record_of(dict(self.disk.seen())) or records.new_record()

    def check_served(self, live: Any) -> None:
        held = dict(self.disk.seen())
        record = record_of(held) or records.new_record()
        bank = records.serving(record)
        entry = record["banks"][bank]
        if entry is None or live.path != f"{FOLDER}/{NAMES[bank]}.model":
            return self.fault(f"serves {live.path}, the journal says otherwise")
        if problem := damage(held, bank, entry):
            self.fault(f"serves {problem}")
        order = record["order"]
        if record["state"] == "trial":
            self.note(floor=max(self.notes.floor, (order["epoch"], order["seq"])))

    def check_reported(self, state: Any) -> None:
        # A write that has failed may be there all the same, and is told once it is repeated.
        if not self.disk.is_in_trouble or self.durable()["state"] != "idle":
            super().check_reported(state)
        number, told = (state["epoch"], state["seq"]), self.notes
        if state["outcome"] == "SUCCEEDED":
            self.note(confirmed=max(told.confirmed, (number, state["sha256"])))
        if state["outcome"] == "ROLLED_BACK" and self.scene.bans:
            self.note(banned=told.banned | self.scene.bans)


class Fetcher(fakes.FakeFetcher):
    async def fetch(self, url: str, intake: Any) -> None:
        world, told = self.world, self.world.notes
        order = world.update.work.progress.order
        world.note(floor=max(told.floor, order.number))
        await world.scene.interferes(world, intake, super().fetch(url, intake))


class DeviceBanks(HostBanks):
    def __init__(self, world: Device) -> None:
        super().__init__(FOLDER)
        self.world = world

    def clear(self, bank: int) -> None:
        self.world.note(received=0)
        super().clear(bank)


class Link(fakes.FakeLink):
    async def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        if topic == topics.reported("demo", "pi-1"):
            world, report = self.world, json.loads(payload)
            world.note(root=max(world.notes.root, report["extra"]["root"]))
            # Where the count of resets cannot be written, documents are numbered by the time.
            if report["n"] < world.wall:
                world.note(numbers=(report["boot"], report.get("install", "")))
        await super().publish(topic, payload, retain)


def record_of(held: dict[str, bytes | None], name: str = f"/state/{MODEL}/journal") -> Any:
    """The record that the journal's two files give, read by its own code."""
    best: Any = (0, None)
    for number in (0, 1):
        best = max(best, _read(held.get(f"{name}.{number}") or b""), key=lambda found: found[0])
    return best[1]


def lengths(held: dict[str, bytes | None], name: str) -> list[bool]:
    """Whether each of a journal's files has its full length."""
    limit = MAX_ROOT_JOURNAL_BYTES if name.endswith("/root") else MAX_JOURNAL_BYTES
    return [len(held.get(f"{name}.{number}") or b"") == limit for number in (0, 1)]


_RECORDS: dict[bytes, Any] = {}


def _read(data: bytes) -> Any:
    if data not in _RECORDS:
        _RECORDS[data] = journal._read(io.BytesIO(data), len(data)) or (0, None)
    return _RECORDS[data]


def damage(held: dict[str, bytes | None], bank: int, entry: Any) -> str:
    """What is wrong with the files of a bank, "" for nothing."""
    for file in entry["files"]:
        data = held.get(f"/state/{MODEL}/{NAMES[bank]}.{file['role']}")
        if data is None or sha(data) != file["sha256"]:
            return f"a damaged {file['role']} of bank {NAMES[bank]}"
    return ""


_SHAS: dict[bytes, str] = {}


def sha(data: bytes) -> str:
    if data not in _SHAS:
        _SHAS[data] = hashlib.sha256(data).hexdigest()
    return _SHAS[data]


def problems(state: State, facts: Facts, damaged: str = "") -> list[str]:
    """What is wrong with a state that a cut has left, after these facts. `damaged`: the manifest
    whose files were damaged before them."""
    held, found = dict(state), []
    record = record_of(held) or records.new_record()
    floor = record["order"]["epoch"], record["order"]["seq"]
    live = record["banks"][record["live"]]
    if floor < facts.floor:
        found.append(f"the floor is {floor}, acted on was {facts.floor}")
    number, manifest = facts.confirmed
    is_other = not live or live["manifest"] != manifest
    if manifest and manifest != damaged and is_other and floor <= number:
        found.append(f"SUCCEEDED was told for order {number}, and its release is not live")
    if manifest and not (live and live["confirmed"]):
        found.append("no confirmed model is live")
    if live and live["manifest"] != damaged and (problem := damage(held, record["live"], live)):
        found.append(f"the live model is {problem}")
    if missing := facts.banned - set(record["blacklist"]):
        found.append(f"{len(missing)} bans are forgotten")
    boots = record_of(held, "/state/device") or {"boot": 0, "install": ""}
    if (boots["boot"], boots["install"]) < facts.numbers or (
        facts.numbers[1] and boots["install"] != facts.numbers[1]
    ):
        found.append(f"boot {boots['boot']} would be told twice")
    for place in (f"/state/{MODEL}/journal", "/state/device", "/state/root"):
        if any(not whole for whole in lengths(held, place)) and record_of(held, place):
            found.append(f"{place} has a record, and a file {EXTENDS}")
    root = record_of(held, "/state/root")
    version = 1
    if root:
        version = documents.root_version(documents.open_first_root(root["envelope"].encode()))
    if version < facts.root:
        found.append(f"root {version} is known, told was {facts.root}")
    if record["state"] == "fetching" and facts.received:
        size = len(held.get(f"/state/{MODEL}/{NAMES[records.spare(record)]}.model") or b"")
        if size < (facts.received - fakes.CHUNK_BYTES) // 2:
            found.append(f"{size} of {facts.received} received bytes are kept")
    return found


_VERIFIED: dict[Any, bool] = {}


def _verify(*given: Any, real: Any = ed25519.verify) -> bool:
    """The real verification, once for each signature: it is the same in each life."""
    key = tuple(bytes(one) for one in given)
    if key not in _VERIFIED:
        _VERIFIED[key] = real(*given)
    return _VERIFIED[key]


def live(scene: Any, state: State, facts: Facts, prepare: Any = None) -> Life:
    """Boots on the state, and lives until the scene's end. `prepare(disk)` is called before."""
    disk = Disk(state, facts)
    if prepare:
        prepare(disk)
    return lived(scene, disk, facts)


@contextlib.contextmanager
def around(disk: Disk) -> Iterator[None]:
    """Mounts the disk for a life in which the same happens each time."""
    state = disk.seen()

    def drawn(size: int) -> bytes:
        """An id that only another boot from the same state would draw."""
        held = hashlib.sha256(b"".join(data or b"" for _, data in state))
        return held.digest()[:size]

    random.seed(1)
    with (
        mounted(disk),
        mock.patch.object(ed25519, "verify", _verify),
        mock.patch("os.urandom", drawn),
    ):
        yield


def lived(scene: Any, disk: Disk, facts: Facts) -> Life:
    """The same, on a disk as it is."""
    with around(disk):
        world = Device(scene, disk, facts)
        turns = HOPELESS_TURNS if disk.is_hopeless else TURNS
        is_done = LOOP.run_until_complete(fakes._lived(world, scene.done(world), None, turns))
    if not is_done:
        world.fault("the device never came to an end")
    else:
        scene.check_end(world)
    return Life(disk.moments, world.faults, is_done)


LOOP = asyncio.new_event_loop()


def seen(life: Life) -> State:
    """The whole disk at the end of a life, all synced."""
    return applied(life.moments[-1].base, life.moments[-1].pending)
