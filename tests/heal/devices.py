"""A device: the agent's core with real journal and banks, on simulated ports.

A device goes through lives: each begins with a reset, and ends with a power cut or a clean stop.
What must hold of every device is checked where it happens, and said to `world.fault`."""

import asyncio
import contextlib
import errno
import shutil
from pathlib import Path

from modelwave_agent import intake, machine, ports
from modelwave_agent.banks import Banks
from modelwave_agent.journal import Journal
from modelwave_agent.record import serving
from modelwave_agent.root_walk import RootWalk
from modelwave_agent.runner import Agent
from modelwave_agent.types import Enrolment
from modelwave_agent.update import Update
from modelwave_shared import topics
from modelwave_shared.words import DEFERRED, ROLLED_BACK
from tests.heal.broker import DeviceLink
from tests.heal.fleet import FLEET, MODEL, TARGET, UNWELL, WRONG

BOOT_SECONDS = 5
PIECES = 4  # in which a file arrives
PIECE_SECONDS = 2
PROOF_SECONDS = 3
LASTED_SECONDS = 300  # after so much of a shadow it is noted
NO_ANSWER_SECONDS = 30  # until a fetch gives up
SERVES_SECONDS = 120  # after a reset the model was hashed, and serves
ASKS_SECONDS = 900 + 60  # between two questions whether an update may go on


class PowerCut(BaseException):
    """This life of the device is over."""


class Device:
    all = ()  # of the world that plays now
    metrics_seconds = 900  # of a window

    def __init__(self, world, name, folder, has_clock):
        self.world = world
        self.name = name
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.enrolment = Enrolment(name, TARGET, world.fleet.root)
        self.topics = (
            topics.desired_slot(FLEET, TARGET, MODEL, self.enrolment.slot),
            topics.desired_all(FLEET, TARGET, MODEL),
            topics.desired_device(FLEET, name, MODEL),
        )
        self.has_clock = has_clock
        self.has_network = True
        self.medium = ""  # "" works, or the errno that it gives: ENOSPC, EIO, EMFILE
        self.is_busy = False  # its program lets no update go on now
        self.free_since = 0.0
        self.joined = world.loop.time()  # 0: it was there from the beginning
        self.has_model = False  # whether one was confirmed since the state was wiped
        self.life = None
        self.heir = None  # the same machine under another id
        # It comes from a shelf, where agents are not updated.
        self.has_old_agent = self.joined > 0

    def start(self):
        if self.life is None:
            self.life = Life(self)

    def cut(self):
        """The power goes, at this moment."""
        life, self.life = self.life, None
        if life:
            life.cut()

    def stop(self):
        """The agent is told to end."""
        life, self.life = self.life, None
        if life:
            life.task.cancel()

    def wipe(self):
        self.cut()
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        self.has_model = False

    def rest(self):
        """Its program lets updates go on again."""
        if self.is_busy:
            self.is_busy, self.free_since = False, self.world.loop.time()

    def renamed(self, name):
        """Returns this device after its agent was told another id, with an empty state folder, and
        started again if it ran."""
        was_on = self.life is not None
        self.wipe()
        other = Device(self.world, name, self.folder, self.has_clock)
        self.heir = other
        if was_on:
            other.start()
        return other

    @property
    def newest(self):
        return self.heir.newest if self.heir else self

    def drop_network(self):
        self.has_network = False
        if self.life:
            self.life.link.lose()

    def link(self, reachable):
        """Returns the link of a life; while `reachable()` is false there is no network."""
        return DeviceLink(self.world.broker, self.name, reachable, self.has_old_agent)

    @property
    def record(self):
        return self.life.update.record

    @property
    def wears_out(self):
        """Whether a reset now would count as the last one that a model on trial may have."""
        record = self.life.update.record
        return record["state"] in machine.ATTEMPTS and record["tries"] >= machine.MAX_TRIES

    @property
    def runs(self):
        """The manifest of the confirmed model, or ""."""
        record = self.record
        bank = record["banks"][record["live"]]
        return bank["manifest"] if bank else ""

    @property
    def outcome(self):
        """What its next report says."""
        return self.life.agent.state()["models"][MODEL]["outcome"]

    def check(self):
        """A device that had a model serves one, and only one that is what was signed; and no update
        is deferred for longer than its program wants."""
        life = self.life
        if not life or self.medium or life.age < SERVES_SECONDS:
            return
        if life.task.done() and not life.task.cancelled():
            self.world.fault("agent ends", f"{self.name}: {life.task.exception()!r}")
            return
        free_seconds = self.world.loop.time() - self.free_since
        if self.outcome == DEFERRED and not self.is_busy and free_seconds > ASKS_SECONDS:
            self.world.fault("stays deferred", self.name)
        live = life.update.live()
        if live is None and self.has_model:
            self.world.fault("serves nothing", f"{self.name} has confirmed a model once")
        if live:
            life.check_served(live)


class Life:
    """From a reset to the next one."""

    def __init__(self, device):
        self.device = device
        self.world = device.world
        self.off = False
        self.loop = asyncio.get_running_loop()
        self.born = self.loop.time()
        self.link = device.link(self._reachable)
        folder = str(device.folder)
        clock = DeviceClock(self)
        around = ports.Ports(
            DeviceJournal(self, folder, MODEL),
            DeviceBanks(self, folder),
            DeviceRuntime(self),
            DeviceFetcher(self),
            DeviceHooks(self),
            clock,
            DeviceShadow(self),
        )
        self.update = Update(MODEL, device.enrolment, around)
        record = self.update.record
        device.has_model = device.has_model or record["banks"][record["live"]] is not None
        boots = DeviceJournal(self, folder, "device")
        walk = RootWalk(device.enrolment, folder, clock)
        given = (self.link, clock, boots, walk, device.metrics_seconds)
        self.agent = Agent(device.enrolment, {MODEL: self.update}, *given)
        self.task = self.loop.create_task(self.agent.run())
        self.task.add_done_callback(self._ended)

    @property
    def age(self):
        return self.loop.time() - self.born

    def cut(self):
        self.off = True
        self.agent.crashed = True  # so that nothing is done in order
        self.link.lose()
        self.task.cancel()

    def check_power(self):
        if self.off:
            raise PowerCut

    def check_write(self):
        self._check_medium("ENOSPC", "EIO")

    def check_read(self):
        self._check_medium("EIO", "EMFILE")

    def _check_medium(self, *troubles):
        self.check_power()
        if self.device.medium in troubles:
            raise OSError(getattr(errno, self.device.medium), self.device.medium)

    def check_served(self, live):
        release = self.release_at(live.path)
        if release is None or release.number != live.release:
            self.world.fault("serves unverified", f"{self.device.name}: {live.path}")

    def release_at(self, path):
        """The release of which the file is the whole model, or None."""
        data = Path(path).read_bytes()
        return next((r for r in self.world.fleet.made.values() if data in r.files.values()), None)

    def _reachable(self):
        return self.device.has_network and not self.off

    def _ended(self, task):
        if not task.cancelled() and task.exception() and not self.off:
            self.world.fault("agent ends", f"{self.device.name}: {task.exception()!r}")


class DeviceJournal(Journal):
    def __init__(self, life, folder, name):
        self.life = life
        super().__init__(folder, name)

    def write(self, record):
        self.life.check_write()
        super().write(record)
        if "banks" in record:
            self._check(record)

    def problem(self):
        try:
            self.life.check_write()
        except OSError as error:
            return str(error)
        return super().problem()

    def _check(self, record):
        device, world = self.life.device, self.life.world
        live = record["banks"][record["live"]]
        if device.has_model and live is None:
            world.fault("forgets its model", f"{device.name}: {record['reason']}")
        device.has_model = device.has_model or live is not None
        tried = record["banks"][1 - record["live"]]
        if record["outcome"] == ROLLED_BACK and tried:
            release = world.fleet.by_manifest[tried["manifest"]]
            if release.is_good:
                world.fault("rolls back a good model", f"{device.name}: {record['reason']}")
        if serving(record) != record["live"] and tried is None:
            world.fault("serves unverified", f"{device.name}: an empty bank is on trial")


class DeviceBanks(Banks):
    def __init__(self, life, folder):
        super().__init__(folder, limit_bytes=1_000_000)
        self.life = life

    def clear(self, bank):
        self.life.check_write()
        super().clear(bank)

    def intake(self, bank, entry):
        made = DeviceIntake(self.path(bank, entry["role"]), self.size(bank, entry["role"]), entry)
        made.life = self.life
        return made


async def hash_file(path, digest, breathe):
    """In the place of the agent's, which reads the file."""
    device = next((d for d in Device.all if path.startswith(f"{d.folder}/")), None)
    if device and device.life:
        device.life.check_read()
    await intake.hash_file(path, digest, breathe)


class DeviceIntake(intake.Intake):
    def write(self, data):
        self.life.check_write()
        super().write(data)
        self.file.flush()


class DeviceRuntime(ports.Runtime):
    name, format, version = "tflite-runtime", "tflite", "2.14.0"

    def __init__(self, life):
        self.life = life

    def free_ram(self):
        return 1_000_000

    async def prove(self, model_path, golden_path, manifest, breathe):
        await asyncio.sleep(PROOF_SECONDS)
        self.life.check_read()
        release = self.life.release_at(model_path)
        return "golden set: 1 of 1 outputs off" if release.quality == WRONG else ""


class DeviceShadow:
    """In the place of host/shadow.py: the time passes."""

    def __init__(self, life):
        self.life = life

    def problem(self, budget):
        return ""

    async def run(self, order, path, before, lasted):
        self.life.check_power()
        if self.life.release_at(path) is None:
            self.life.world.fault("runs unverified", f"{self.life.device.name}: {path}")
        left = order.extra("shadow")["seconds"] - before
        if left > LASTED_SECONDS:
            await asyncio.sleep(LASTED_SECONDS)
            await lasted(before + LASTED_SECONDS)
            left -= LASTED_SECONDS
        await asyncio.sleep(max(0, left))
        self.life.check_read()
        return "shadowed", "nothing was compared"


class DeviceFetcher(ports.Fetcher):
    def __init__(self, life):
        self.life = life

    async def fetch(self, url, intake):
        server = self.life.world.files
        data = await server.get(url.split("/")[-1], self.life.device.has_network)
        size = -(-len(data) // PIECES)
        for start in range(intake.offset, len(data), size):
            await asyncio.sleep(PIECE_SECONDS)
            if server.trouble or not self.life.device.has_network:
                raise ports.FetchError("the connection was lost")
            piece = data[start : start + size]
            intake.write(piece[::-1] if server.lies else piece)


class FileServer:
    def __init__(self, files):
        self.files = files  # by their sha256
        self.trouble = ""  # "", "503" or "silent"
        self.lies = False  # it sends other bytes

    async def get(self, sha256, has_network):
        await asyncio.sleep(PIECE_SECONDS)
        if self.trouble == "silent" or not has_network:
            await asyncio.sleep(NO_ANSWER_SECONDS)
            raise ports.FetchError("no answer")
        if self.trouble:
            raise ports.FetchError("503 Service Unavailable", retry_after=10)
        if sha256 not in self.files:
            raise ports.FetchError("404 Not Found")
        return self.files[sha256]


class DeviceHooks(ports.Hooks):
    def __init__(self, life):
        self.life = life

    async def serve(self, live):
        await asyncio.sleep(1)
        self.life.check_power()
        self.life.check_served(live)
        return ""

    async def healthy(self, live):
        self.life.check_power()
        release = self.life.release_at(live.path)
        return "the program is unwell" if release.quality == UNWELL else ""

    def may_update(self, upcoming):
        return not self.life.device.is_busy


class DeviceClock(ports.Clock):
    def __init__(self, life):
        self.life = life

    def now(self):
        return self.life.loop.time()

    def wall(self):
        return int(self.life.world.true_time) if self.life.device.has_clock else None

    async def sleep(self, seconds):
        await asyncio.sleep(seconds)

    async def wait(self, event, seconds):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), seconds)
        return event.is_set()
