"""The whole system, and what must hold of it: at each moment, and after all trouble."""

import asyncio
import shutil

from sqlalchemy import select

from modelwave_controller.judge.verdicts import FAIL
from modelwave_controller.rollout import state
from modelwave_controller.rollout import wanted as orders
from modelwave_controller.rollout.events import Began, Gated, Held, Opened, Reverted
from modelwave_controller.storage import log, outbox, tables
from tests.heal.broker import Broker
from tests.heal.controller import TICK_SECONDS, Controller
from tests.heal.devices import Device, FileServer
from tests.heal.fleet import DEADLINE_SECONDS, MODEL, SHADOW_PLAN, SOAK_SECONDS, TARGET, fleet
from tests.heal.person import PATIENCE, Person

START = 1_800_000_000  # Unix seconds
BREAK_SECONDS = 7200
DEVICES = 5
LATE_SECONDS = 2 * TICK_SECONDS  # so much later than they happen the controller notices things
STEP_SECONDS = 300  # between two looks of the person, after the trouble
REPORT_SECONDS = 1200  # in which each device has repeated its report

# The agent tries again after an hour at most; a second hour is for a try that ends without a server
# just before. Then come the download, the trial, and a report that is repeated.
DEVICE_SECONDS = 2 * 3600 + 1800
# Each stage may wait for its deadline, as often as the person lets it, and so does the way back.
STAGES_SECONDS = (len(SHADOW_PLAN.stages) + 1) * (PATIENCE + 1) * (DEADLINE_SECONDS + 600)
HEAL_SECONDS = STAGES_SECONDS + DEVICE_SECONDS
# Where nothing is wrong, a rollout takes its soaks, trials and downloads, and needs nobody.
QUIET_SECONDS = 2 * 3600 - 600


def slots_of(ranges):
    return [slot for first, last in ranges for slot in range(first, last + 1)]


class Violation(Exception):
    """`kind` names the rule that was broken."""

    def __init__(self, kind, text):
        super().__init__(kind, text)
        self.kind = kind

    def __str__(self):
        return ": ".join(self.args)


class World:
    def __init__(self, folder, random, before=None):
        """`before`: a folder that a world has left behind with `leave`; this one goes on from it,
        BREAK_SECONDS after its start."""
        self.loop = asyncio.get_running_loop()
        self.folder = folder
        self.random = random
        self.fleet = fleet()
        self.faults = []
        self.began = {}  # (rollout, stage): when
        self.offset = 0.0  # of the controller's clock
        self.broker = Broker()
        self.files = FileServer(self.fleet.files)
        self.start = START + (BREAK_SECONDS if before else 0)
        if before:
            shutil.copytree(before, folder, dirs_exist_ok=True)
        database = before / "modelwave.db" if before else self.fleet.empty_database
        self.controller = Controller(self, database)
        self.person = Person(self, random)
        self.places = 0
        self.names = 0  # that were given in place of a clone's
        self.devices = [self.new_device(f"d{n}", has_clock=n % 2 == 0) for n in range(DEVICES)]
        Device.all = self.devices
        self.gone = set()  # devices that never come back
        self.snapshots = []

    @property
    def true_time(self):
        return self.start + self.loop.time()

    @property
    def controller_time(self):
        return self.true_time + self.offset

    @property
    def alive(self):
        return [device for device in self.devices if device not in self.gone]

    def new_device(self, name, has_clock):
        self.places += 1
        return Device(self, name, self.folder / f"device-{self.places}", has_clock)

    def fault(self, kind, text):
        self.faults.append(Violation(kind, text))

    def later(self, seconds, do, *given):
        self.loop.call_later(seconds, do, *given)

    def snapshot(self):
        """Keeps what the broker and the database have now."""
        self.snapshots.append(dict(self.broker.retained))
        self.controller.back_up()

    def lose_database(self):
        """The person sets the clock before the service begins a new one, which knows no time to
        compare it with, and sees the service run."""
        self.began.clear()
        self.offset = 0.0
        self.controller.lose()
        self.controller.start()
        self.controller.services["first"].step()

    def restore_database(self, back):
        """From one of the last snapshots."""
        self.began.clear()
        backups = self.controller.backups
        self.controller.restore(backups[-1 - back % len(backups)])

    def rename(self, device):
        """Gives one of the devices with the id of `device` another one, and starts it again."""
        self.names += 1
        other = device.renamed(f"{device.name}-{self.names}")
        self.devices[self.devices.index(device)] = other

    # The course of a history.

    async def make_first(self):
        """Brings a first release to all devices, and ends."""
        await self.begin()
        self.person.start()
        await self._until(self._finished, QUIET_SECONDS, "does not begin")
        for device in self.devices:
            device.stop()
        await asyncio.sleep(STEP_SECONDS)

    async def begin(self):
        self.controller.start()
        for device in self.devices:
            device.start()
        await asyncio.sleep(120)
        self.check()

    async def end(self):
        """All trouble ends: then everything comes right, and a next release needs nobody."""
        self.heal()
        await asyncio.sleep(REPORT_SECONDS)
        self.check()
        self.person.follow()
        await asyncio.sleep(STEP_SECONDS)
        await self._until(self._settled, HEAL_SECONDS, "does not heal", self.person.follow)
        used = {device.name for device in self.alive}
        for device in self.gone:
            if device.name not in used:
                self.person.forget(device.name)
        self.person.start_as_told()
        self.check()
        await self._until(self._finished, QUIET_SECONDS, "does not go on")

    def heal(self):
        self.offset = 0.0
        self.files.trouble, self.files.lies = "", False
        self.broker.up = True
        for service in self.controller.services.values():
            service.frozen = False
        self.controller.start()
        self.controller.kill("second")
        for device in self.alive:
            device.medium = ""
            device.has_network = True
            device.rest()
            device.start()

    def leave(self, folder):
        """Leaves the devices' state and the database in `folder`, for a world that goes on."""
        self.controller.back_up()
        shutil.copytree(self.folder, folder)
        shutil.move(folder / self.controller.backups[-1].name, folder / "modelwave.db")

    def close(self):
        for device in self.devices:
            device.cut()
        self.controller.close()

    async def _until(self, done, seconds, kind, meanwhile=lambda: None):
        end = self.loop.time() + seconds
        while not done():
            if self.loop.time() > end:
                self.fault(kind, self.told())
            self.check()
            meanwhile()
            await asyncio.sleep(STEP_SECONDS)
        self.check()

    def _finished(self):
        """The newest release is on every device, and the controller says so."""
        found = self.person.seen()
        if found.status in (state.HELD, state.REVERTING, state.REVERTED):
            self.fault("needs somebody", self.told())
        wanted = self.fleet.release(self.person.number).digest
        return found.status == state.FINISHED and all(d.runs == wanted for d in self.alive)

    def _settled(self):
        """Nothing is under way, nobody has to do anything, no two devices have one id, and every
        device runs what it should, and says so."""
        found = self.person.seen()
        if found is not None and found.status not in state.FINAL:
            return False
        names = [device.name for device in self.alive]
        return len(names) == len({*names}) and not self.person.due() and not self.wrong()

    def wrong(self):
        """The devices that run something else than the controller wants, or says."""
        found = []
        with self.controller.store.read() as connection:
            found_state = log.folded(connection)
            query = select(tables.device_models.c.device, tables.device_models.c.sha256)
            said = dict(connection.execute(query).all())
        for device in self.alive:
            slot = device.enrolment.slot
            order = orders.of(found_state, MODEL, TARGET, slot, device.name)
            wanted = order.release.manifest if order else ""
            if wanted and not self.fleet.by_manifest[wanted].is_good:
                wanted = ""  # an abort leaves it where it was ordered; a device may have refused
            if device.runs != (wanted or device.runs):
                found.append(f"{device.name} runs another release")
            elif said.get(device.name) != device.runs:
                found.append(f"{device.name} runs another release than the controller says")
        return found

    # What must hold at each moment.

    def check(self):
        """Raises the first violation."""
        for device in self.devices:
            device.check()
        self._check_counts()
        if self.faults:
            raise self.faults[0]

    def _check_counts(self):
        found = self.person.seen()
        if found is None:
            return
        with self.controller.store.read() as connection:
            waves = log.folded(connection, reports_of=[]).rollouts[found.rollout].waves()
        for row, wave in zip(found.rows, waves, strict=False):
            slots = {slot for order in wave.orders for slot in slots_of(order.slots)}
            ids = len({d.name for d in self.devices if d.enrolment.slot in slots})
            answers = row.in_progress + row.succeeded + row.rolled_back + row.failed
            answers += row.rejected + row.canceled + row.silent + row.shadowed
            if not answers <= row.devices <= ids:
                self.fault("counts", f"{row}")

    def saw(self, connection, rollout, body):
        """Judges an event at the moment when the controller writes it."""
        if isinstance(body, Reverted) or (isinstance(body, Gated) and body.verdict == FAIL):
            self._judge_revert(connection, rollout, body.reason)
        if isinstance(body, Began):
            self.began.setdefault((rollout, body.stage), self.loop.time())
        if isinstance(body, Opened) and body.stage:
            since = self.began.get((rollout, body.stage - 1), 0.0)
            if self.loop.time() - since < SOAK_SECONDS - LATE_SECONDS:
                self.fault("soaks too short", f"rollout {rollout}, stage {body.stage}")
        if isinstance(body, Held) and " silent " in body.reason:
            self._judge_silence(connection, rollout, body.reason)

    def _judge_revert(self, connection, number, reason):
        rollout = log.folded(connection, reports_of=[]).rollouts[number]
        release = self.fleet.by_manifest[rollout.created.releases[TARGET].manifest]
        if release.is_good and release.number not in self.person.wished:
            self.fault("reverts a good release", f"rollout {number}: {reason}")

    def _judge_silence(self, connection, number, reason):
        """Nobody is silent to whom the broker did not offer the order until the deadline, but those
        that came after the others. Who has answered is not meant, also if the order came late."""
        rollout = log.folded(connection, reports_of=[number]).rollouts[number]
        answered = rollout.stages[-1].answers
        slots = {slot for order in rollout.stages[-1].orders for slot in slots_of(order.slots)}
        for device in self.devices:
            offered = [
                self.broker.since.get((topic, payload), self.loop.time())
                for topic in device.topics
                if (payload := outbox.holds(connection, topic))
            ]
            if device.joined and self.loop.time() - device.joined < DEADLINE_SECONDS:
                continue  # its order is as young as it is
            early = self.loop.time() - max(offered, default=0) < DEADLINE_SECONDS - LATE_SECONDS
            if device.enrolment.slot in slots and early and device.name not in answered:
                self.fault("silent too early", f"rollout {number}: {reason}: {device.name}")

    def told(self):
        """What a person would look at."""
        found = self.person.seen()
        lines = [f"at {self.loop.time():.0f} s"]
        if found:
            lines.append(f"rollout {found.rollout} of release {found.release} is {found.status}")
            lines += [f"  {found.why}", f"  next: {found.next}"]
            lines += [f"  {row}" for row in found.rows]
            lines += [f"  {problem}" for problem in found.problems]
            lines += found.warnings
        lines += self.wrong()
        for device in self.devices:
            if device.life:
                report = device.life.agent.state()
                lines.append(f"{device.name}: {report['models'][MODEL]} {report['refused']}")
        return "\n".join(lines + self.person.did)
