"""A simulated world for one agent: fakes implement its ports.

The disk is a real folder; journal and banks are the real ones. Every port call is counted. At a
chosen call the power fails: before it, after it, or in the middle of a write. From then on every
call raises PowerCut. Each life of the device ends with a power cut, which undoes what was not
synced (medium.py); `boot` starts the next life with what is left.

The world checks these rules at every moment, and collects violations in `faults`:

  - the floor is durable before the first byte is requested
  - the model that serves is complete, and is the one of the journal on the medium
  - SUCCEEDED is reported only when the journal on the medium confirms that release
"""

import asyncio
import json
import os
import tempfile
from pathlib import Path

from modelwave_agent import intake as real_intake
from modelwave_agent import ports, root_store
from modelwave_agent import record as records
from modelwave_agent.banks import Banks
from modelwave_agent.host.patcher import HostPatcher
from modelwave_agent.journal import Journal
from modelwave_agent.root_walk import RootWalk
from modelwave_agent.runner import Agent
from modelwave_agent.types import Enrolment
from modelwave_agent.update import Update
from modelwave_shared import topics
from tests import signing
from tests.agent.medium import Medium

CHUNK_BYTES = 1000
TURNS = 5_000  # of the event loop: more than any life here takes
ROOT = signing.root()
DEVICE = Enrolment("pi-1", "linux-cpu", ROOT)
TOPIC = topics.desired_slot("demo", "linux-cpu", "digits", DEVICE.slot)


class PowerCut(BaseException):
    """The simulated device has no power."""


class World:
    def __init__(self, folder, keeps_removals=True):
        self.folder = str(folder)
        self.medium = Medium(folder, keeps_removals)
        self.files = {}  # sha256: bytes, what the file server has
        self.retained = {}
        self.reports = []
        self.faults = []
        self.calls = 0
        self.cut_at = None  # (call number, "before" | "torn" | "after")
        self.off = False
        self.wall = signing.ISSUED + 60
        self.is_synchronised = True  # the clock is kept right
        self.fetched = 0  # bytes sent by the file server
        self.ram = 100_000
        self.runs_beside = True  # the device has the port Shadow
        self.applies_deltas = True  # the device has the port Patcher
        self.shadow_ram = 2**30
        self.cannot_shadow = ""  # why it cannot run a model beside the live one now
        self.shadow_ends = "shadowed"
        self.shadow_lasts = 2  # how often a shadow says so; each time is 600 seconds
        self.shadow_turns = 0  # that pass between
        self.shadows = []  # seconds for which each had run before
        self.serve_turns = 0  # that the program takes to load a model
        # Whether the agent waits for its own reports: time passes at once here, so none would come.
        self.echoes = False
        self.served = []  # releases that it has loaded
        self.deliver = None  # hands a message to the connected agent

    # Power.

    def call(self, do, torn=None):
        """One port call: `do()`, unless the power goes. `torn()` does half of it."""
        if self.off:
            raise PowerCut
        self.calls += 1
        number, when = self.cut_at or (0, "")
        if self.calls != number:
            return do()
        if when == "after":
            do()
        elif when == "torn" and torn:
            torn()
        self.off = True
        raise PowerCut

    def boot(self):
        """A new life: (agent, update) on what the disk holds."""
        self.off = False
        self.calls = 0
        around = ports.Ports(
            FakeJournal(self, self.folder, "digits"),
            FakeBanks(self, self.folder),
            FakeRuntime(self),
            FakeFetcher(self),
            FakeHooks(self),
            FakeClock(self),
            FakeShadow(self) if self.runs_beside else None,
            HostPatcher() if self.applies_deltas else None,
        )
        root, problem = root_store.newest(self.folder, ROOT)
        device = Enrolment(DEVICE.name, DEVICE.target, root)
        update = Update("digits", device, around)
        boots = Journal(self.folder, "device")
        link, clock = FakeLink(self), FakeClock(self)
        walk = RootWalk(device, self.folder, clock, problem)
        agent = Agent(device, {"digits": update}, link, clock, boots, walk)
        if not self.echoes:
            agent.optional = tuple(one for one in agent.optional if one.topic != agent.reported)
        return agent, update

    # What must hold.

    def durable(self):
        """The record that would be found after a power cut at this moment."""
        with tempfile.TemporaryDirectory() as folder:
            self.medium.copy_to(folder)
            return Journal(folder, "digits").read("banks") or records.new_record()

    def fault(self, text):
        self.faults.append(text)

    def check_served(self, live):
        record = self.durable()
        bank = records.serving(record)
        entry = record["banks"][bank]
        if entry is None or live.path != f"{self.folder}/{'ab'[bank]}.model":
            self.fault(f"serves {live.path}, the journal says otherwise")
            return
        for file in entry["files"]:
            path = f"{self.folder}/{'ab'[bank]}.{file['role']}"
            if not os.path.exists(path) or _sha_of(path) != file["sha256"]:
                self.fault(f"serves a damaged {file['role']}")

    def check_reported(self, state):
        record = self.durable()
        live = record["banks"][record["live"]]
        if state["outcome"] == "SUCCEEDED" and (
            record["outcome"] != "SUCCEEDED" or live["manifest"] != state["sha256"]
        ):
            self.fault(f"SUCCEEDED was reported, the journal says {record['state']}")

    def last_report(self):
        return self.reports[-1]["models"]["digits"]


class FakeJournal(Journal):
    def __init__(self, world, folder, name):
        super().__init__(folder, name)
        self.world = world

    def write(self, record):
        def torn():
            path = self.paths[1 - self.newest]
            with open(path, "r+b") as file:
                file.seek(20)
                file.write(b"half of a record")
            self.world.medium.tear(path)

        self.world.call(lambda: super(FakeJournal, self).write(record), torn)


class FakeBanks(Banks):
    def __init__(self, world, folder):
        super().__init__(folder)
        self.world = world

    def clear(self, bank):
        def torn():
            path = self.path(bank, "model")
            if os.path.exists(path):
                os.remove(path)

        self.world.call(lambda: super(FakeBanks, self).clear(bank), torn)

    def remove(self, bank, role):
        self.world.call(lambda: super(FakeBanks, self).remove(bank, role))

    def intake(self, bank, entry):
        intake = FakeIntake(self.path(bank, entry["role"]), self.size(bank, entry["role"]), entry)
        intake.world = self.world
        return intake


class FakeIntake(real_intake.Intake):
    def write(self, data):
        def torn():
            self.file.write(data[: len(data) // 2])
            self.file.flush()
            self.world.medium.tear(self.path)

        self.world.call(lambda: super(FakeIntake, self).write(data), torn)
        self.file.flush()

    def close(self):
        if self.world.off:
            self.file.close()
            raise PowerCut
        self.world.call(super().close)


class FakeRuntime(ports.Runtime):
    name, format, version = "tflite-runtime", "tflite", "2.14.0"

    def __init__(self, world):
        self.world = world

    def free_ram(self):
        return self.world.ram

    async def prove(self, model_path, golden_path, manifest, breathe):
        def judge():
            with open(model_path, "rb") as file:
                return "golden set: 1 of 1 outputs off" if file.read(3) == b"BAD" else ""

        return self.world.call(judge)


class FakeShadow:
    def __init__(self, world):
        self.world = world

    def problem(self, budget):
        free = self.world.shadow_ram
        if free < budget["ram"] and not self.world.cannot_shadow:
            return f"ram: needs {budget['ram']}, has {free}"
        return self.world.cannot_shadow

    async def run(self, order, path, before, lasted):
        world = self.world
        record = world.durable()
        if record["state"] != "shadow":
            world.fault(f"runs beside the live one while the journal says {record['state']}")
        for file in record["banks"][records.spare(record)]["files"]:
            if file["role"] == "model" and _sha_of(path) != file["sha256"]:
                world.fault("runs a damaged model beside the live one")
        world.call(lambda: world.shadows.append(before))
        for number in range(1, world.shadow_lasts + 1):
            for _ in range(world.shadow_turns):
                await asyncio.sleep(0)
            await lasted(before + 600 * number)
        crashes = world.call(lambda: Path(path).read_bytes().startswith(b"CRASH"))
        return "unhealthy" if crashes else world.shadow_ends, "told"


class FakeFetcher(ports.Fetcher):
    def __init__(self, world):
        self.world = world

    async def fetch(self, url, intake):
        world = self.world
        floor = world.durable()["order"]["seq"]
        if world.durable()["state"] != "fetching":
            world.fault(f"fetches while the journal's floor is {floor}")
        data = world.call(lambda: world.files.get(url.split("/")[-1]))
        if data is None:
            raise ports.FetchError("404 Not Found")
        for start in range(intake.offset, len(data), CHUNK_BYTES):
            chunk = data[start : start + CHUNK_BYTES]
            world.fetched += len(chunk)
            intake.write(chunk)
            await asyncio.sleep(0)


class FakeHooks(ports.Hooks):
    def __init__(self, world):
        self.world = world
        self.unwell = ""

    async def serve(self, live):
        if live is None:
            self.world.fault("a hook was asked about no model")
        else:
            self.world.check_served(live)
        self.world.call(lambda: None)
        for _ in range(self.world.serve_turns):
            await asyncio.sleep(0)
        self.world.served.append(live.release)
        return ""

    async def healthy(self, live):
        self.world.call(lambda: None)
        return self.unwell


class FakeClock(ports.Clock):
    """Time passes at once when somebody waits for it, but for what only repeats."""

    REPEAT_SECONDS = 40  # a wait of so long is the report's, and ends by its event alone
    METRICS_SECONDS = 900  # the agent's default, which never comes

    def __init__(self, world):
        self.world = world
        self.seconds = 0.0

    def now(self):
        return self.seconds

    def wall(self):
        return self.world.wall

    def is_synchronised(self):
        return self.world.is_synchronised

    async def sleep(self, seconds):
        if seconds == self.METRICS_SECONDS:
            await asyncio.Event().wait()
        self.seconds += seconds
        await asyncio.sleep(0)

    async def wait(self, event, seconds):
        if seconds > self.REPEAT_SECONDS:
            return await event.wait()
        await self.sleep(seconds)
        return event.is_set()


class FakeLink(ports.BrokerLink):
    """A broker of one client, in memory."""

    def __init__(self, world):
        self.world = world
        self.arrived = asyncio.Queue()

    async def connect(self, will_topic, will):
        self.world.call(lambda: None)

    async def subscribe(self, wanted):
        self.world.call(lambda: None)
        self.world.deliver = self.deliver
        for topic in wanted:
            if topic in self.world.retained:
                self.deliver(topic, self.world.retained[topic])

    def deliver(self, topic, payload):
        self.arrived.put_nowait((topic, payload))

    async def publish(self, topic, payload, retain):
        def send():
            if topic == topics.reported("demo", "pi-1"):
                report = json.loads(payload)
                self.world.check_reported(report["models"]["digits"])
                self.world.reports.append(report)

        self.world.call(send)
        await asyncio.sleep(0)

    async def receive(self):
        return await self.arrived.get()


async def live(world, done, cut_at=None, turns=TURNS):
    """One life of the device: until `done(update)`, or the power goes. True if done."""
    with world.medium.powered():
        return await _lived(world, done, cut_at, turns)


async def _lived(world, done, cut_at, turns):
    world.cut_at = cut_at
    reached = False
    asyncio.get_running_loop().set_exception_handler(_unless_power_cut)
    try:
        agent, update = world.boot()
        life = asyncio.create_task(agent.run())
        for _ in range(turns):
            if life.done() or world.off or (reached := bool(done(update))):
                break
            await asyncio.sleep(0)
    finally:
        world.off = True  # nothing of this life touches the disk any more
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
    return reached


def settled(world, seq):
    """Returns a condition: the last report has the outcome of order `seq`, and nothing goes on."""

    def done(_):
        if not world.reports:
            return False
        state = world.last_report()
        return state["seq"] == seq and state["outcome"] and state["state"] == "idle"

    return done


def world_with_live(folder, first, *others):
    """A world in which the release `first` is live, in bank b; its server has `others` too."""
    made = World(folder)
    for release in (first, *others):
        made.files.update(release.files)
    made.retained[TOPIC] = signing.order(first, 1)
    assert asyncio.run(live(made, settled(made, 1)))
    made.reports.clear()
    return made


async def lived(agent, done):
    """Whether the agent came to `done()`; the power stays on. Raises what ended it."""
    life = asyncio.create_task(agent.run())
    for _ in range(TURNS):
        if life.done() or done():
            break
        await asyncio.sleep(0)
    life.cancel()
    await asyncio.gather(life, return_exceptions=True)
    if not life.cancelled():
        life.result()
    return done()


def _sha_of(path):
    with open(path, "rb") as file:
        return signing.sha(file.read())


def _unless_power_cut(loop, context):
    """Tasks that died with the machine are nobody's to ask about."""
    if not isinstance(context.get("exception"), PowerCut):
        loop.default_exception_handler(context)
