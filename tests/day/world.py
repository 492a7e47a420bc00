"""The whole fleet of the day, and what must hold at its end."""

import asyncio
import collections
import hashlib
import random
import time

from sqlalchemy import select

from modelwave_controller.rollout import state
from modelwave_controller.rollout import wanted as orders
from modelwave_controller.storage import log, tables
from modelwave_shared import documents, dsse, slots, words
from tests.controller.rollout_world import FLEET, TARGET
from tests.day import troubles
from tests.day.clock import DayClock
from tests.day.controller import Controller
from tests.day.devices import DayDevice, count
from tests.day.pace import Pace
from tests.day.person import FIRST, DayPerson
from tests.day.real import BoardAgent, HostAgent
from tests.day.releases import KINDS, MODEL, Release
from tests.heal import devices
from tests.heal.devices import FileServer
from tests.heal.world import Violation

LOOK_SECONDS = 60  # between two looks of the person
BEFORE_SECONDS = 20 * 60  # in which devices measure, before the first rollout is judged
ROLLOUT_SECONDS = 4 * 3600  # one that takes longer has no end
HEAL_SECONDS = 3 * 3600  # after the last trouble


class DayFleet:
    """Named as tests/heal/fleet.py's."""

    def __init__(self, world):
        self.world = world
        envelope = dsse.read(world.home.root_envelope)
        self.root = documents.read(words.ROOT, envelope.payload)
        self.made, self.by_number, self.by_manifest = {}, {}, {}
        self.files = {}
        self.home = world.home

    def release(self, number, kind):
        made = self.made[number, kind.name] = Release(self.world, number, kind)
        self.by_number[number] = made
        self.by_manifest |= dict.fromkeys(made.digests.values(), made)
        self.files.update(made.files)
        return made


class Day:
    def __init__(self, running, seed, simulated, hosts, boards):
        self.loop = asyncio.get_running_loop()
        self.random = random.Random(seed)
        self.seed = seed
        self.folder = running.folder
        self.clock = DayClock(self.folder / "clock")
        self.clock.install(is_controller=False)
        self.pace = Pace(self.clock, self.loop)
        self.pace.start()
        self.faults, self.gone = [], set()
        self.happened = collections.Counter()
        self.controller = Controller(running, self.folder / "clock")
        self.controller.begin()
        self.fleet = DayFleet(self.controller.world)
        self.files = FileServer(self.fleet.files)
        self.person = DayPerson(self, self.random)
        self.began = time.monotonic()
        self.devices = [
            DayDevice(self, f"d{n}", self.folder / f"d{n}", has_clock=n % 2 == 0)
            for n in range(simulated)
        ]
        devices.Device.all = self.devices
        self.real = self._real_agents(running, hosts, boards)
        self.tasks = []

    def _real_agents(self, running, hosts, boards):
        root, self.unwell = self.folder / "root.json", self.folder / "unwell"
        root.write_bytes(self.fleet.home.root_envelope)
        self.unwell.touch()
        given = (self.folder / "clock", root, self.port, self.controller.files, self.unwell)
        kinds = [HostAgent] * hosts + [BoardAgent] * boards
        return [kind(running, self.folder, place, *given) for place, kind in enumerate(kinds)]

    # What devices and person look at.

    @property
    def port(self):
        return self.controller.port

    @property
    def seconds(self):
        """Of the day."""
        return time.monotonic() - self.began

    @property
    def true_time(self):
        return time.time()

    @property
    def controller_time(self):
        return self.true_time + self.clock.wrong

    @property
    def alive(self):
        return self.devices

    def fault(self, kind, text):
        self.faults.append(Violation(kind, text))

    def later(self, seconds, do, *given):
        self.loop.call_later(seconds, do, *given)

    def shelve(self, release):
        """Does what `release add` does: the manifests and the files are the home's from now on."""
        for target, signed in release.signed.items():
            folder = self.fleet.home.releases / MODEL / str(release.number)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{target}.json").write_bytes(signed.envelope)
        for sha256, data in release.real_files.items():
            (self.fleet.home.files / sha256).write_bytes(data)
        if release.kind.name == "unwell":
            with self.unwell.open("a") as file:
                file.write(f"{release.number}\n")

    # Its course.

    async def begin(self):
        """The first release goes to all, and is measured for a while."""
        for device in self.devices:
            device.start()
        for agent in self.real:
            agent.start()
        self.pace.day = self
        await self._until(self._all_known, ROLLOUT_SECONDS, "does not begin")
        self.tasks.append(self.loop.create_task(count(self, self.seed)))
        self.person.start(KINDS["good"], FIRST)
        await self._until(self._is_over, ROLLOUT_SECONDS, "does not begin")
        await asyncio.sleep(BEFORE_SECONDS)
        self.began = time.monotonic()

    async def rollout(self, kind):
        """Starts a rollout, follows it to its end, and returns its number."""
        await self._until(lambda: not self.clock.wrong, ROLLOUT_SECONDS, "keeps its clock wrong")
        number = self.person.start(kind)
        await self._until(self._is_over, ROLLOUT_SECONDS, "does not end", self.person.follow)
        return number

    async def make_trouble(self):
        while True:
            await asyncio.sleep(self.random.expovariate(1 / troubles.EVERY_SECONDS))
            name, given = troubles.drawn(self.random, self)
            self.happened[name] += 1
            troubles.TROUBLES[name].do(self, *given)

    async def end(self):
        """All trouble is over: every device comes to what it should run."""
        await asyncio.sleep(troubles.MOST_SECONDS)
        for device in self.devices:
            device.medium, device.has_network = "", True
            device.rest()
            device.start()
        await self._until(lambda: not self.lost(), HEAL_SECONDS, "is lost", self.person.follow)

    async def close(self):
        for task in self.tasks:
            task.cancel()
        self.pace.day = None
        for device in self.devices:
            device.stop()
        await asyncio.sleep(0.1)
        self.controller.world.close()

    async def _until(self, done, seconds, kind, meanwhile=lambda: None):
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                return self.fault(kind, "; ".join(self.lost()) or str(self.person.seen()))
            for device in self.devices:
                device.check()
            meanwhile()
            await asyncio.sleep(LOOK_SECONDS)

    def _all_known(self):
        with self.controller.store.read() as connection:
            found = connection.execute(select(tables.device_models.c.device)).all()
        return len(found) == len(self.devices) + len(self.real)

    def _is_over(self):
        return self.person.seen().status in state.FINAL

    # What must hold.

    def lost(self):
        """Returns the devices that are not well: that do not run, or run another release than they
        should, or of which the controller says something else."""
        with self.controller.store.read() as connection:
            found = log.folded(connection)
            its = tables.device_models.c
            said = dict(connection.execute(select(its.device, its.sha256)).all())
        wrong = []
        for device in (*self.devices, *self.real):
            target = getattr(device, "target", TARGET)
            slot = slots.slot(FLEET, device.name)
            order = orders.of(found, MODEL, target, slot, device.name)
            wanted = order.release.manifest if order else ""
            runs = self.runs(device)
            if not (runs and runs == wanted == said.get(device.name)):
                wrong.append(f"{device.name}: runs {runs[:8]}, should run {wanted[:8]}")
        return wrong

    def runs(self, device):
        """Returns the manifest of what a simulated device has confirmed, or of a real one that
        lives and has whole files of it; else ""."""
        if isinstance(device, DayDevice):
            return device.runs if device.life else ""
        if not device.lives:
            return ""
        hashes = {
            hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (device.folder / "state").rglob("*.model")
        }
        with self.controller.store.read() as connection:
            its = tables.device_models.c
            query = select(its.release).where(its.device == device.name)
            release = self.fleet.by_number.get(connection.scalar(query) or 0)
        whole = release and any(sha256 in hashes for sha256 in release.real_files)
        return release.digests[device.target] if whole else ""

    wrong = lost  # as the person asks

    def verdict(self, number, kind):
        """Returns what is wrong with the end of a rollout, or ""."""
        with self.controller.store.read() as connection:
            rollout = log.folded(connection, reports_of=[]).rollouts[number]
        wrong = judged(kind, rollout.status, self.person.acts.get(number, []))
        return wrong and f"rollout {number}: {wrong}: {self.person.seen().why}"


def judged(kind, status, acts):
    """Compares the end of a rollout with the truth (releases.py); `acts`: the person's. Returns
    what is wrong, or ""."""
    is_right = status == (state.FINISHED if kind.is_right else state.REVERTED)
    if is_right and not kind.is_right and not kind.rolls_back:
        is_right = "revert" not in acts  # the gate has to do it
    helped = f" with {', '.join(acts)} of the person" if acts else ""
    return "" if is_right else f"{kind.name} is {status}{helped}"
