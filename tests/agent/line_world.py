"""A board with the agent's own core on a line, in simulated time: a whole update over a wire that
does what a case says. The board must end whole and true:

  - the model that serves has the signed bytes, and the journal confirms it
  - the broker has a report that says so
  - no end has got a message that the other did not send, or one of them twice
"""

import asyncio
import collections
import hashlib
import json
import random

from modelwave_agent import ports, root_store
from modelwave_agent.banks import Banks
from modelwave_agent.board.serial_fetcher import SerialFetcher
from modelwave_agent.board.serial_link import SerialLink
from modelwave_agent.journal import Journal
from modelwave_agent.root_walk import RootWalk
from modelwave_agent.runner import Agent
from modelwave_agent.types import Enrolment
from modelwave_agent.update import Update
from modelwave_shared import line_messages as messages
from modelwave_shared import topics
from tests import signing
from tests.agent.fakes import DEVICE, ROOT, TOPIC
from tests.core.line_gateway import Broker, Gateway
from tests.core.line_world import End, Time, wire

RELEASE = signing.Release(1, bytes(random.Random(1).randbytes(2_500)))
ORDER = signing.order(RELEASE, 1)
REPORTED = topics.reported("demo", DEVICE.name)
MOST_SECONDS = 200_000
AWAY_SECONDS = 20


class SetTime(Time):
    def wall(self):
        return int(signing.ISSUED + 60 + self.seconds)

    def is_synchronised(self):
        return True


class Runtime(ports.Runtime):
    name, format, version = "tflite-runtime", "tflite", "2.14.0"

    def free_ram(self):
        return 100_000

    async def prove(self, model_path, golden_path, manifest, breathe):
        return ""


class Link(SerialLink):
    """Counts what goes and what comes."""

    def __init__(self, world, stream):
        super().__init__(stream, DEVICE.name, world.baud, clock=world.time)
        self.world = world

    async def publish(self, topic, payload, retain):
        self.world.sent[topic, bytes(payload)] += 1
        await super().publish(topic, payload, retain)

    async def receive(self):
        found = await super().receive()
        self.world.received[found] += 1
        return found


class CountingGateway(Gateway):
    def put(self, message, *values):
        if message == messages.MESSAGE:
            self.broker.delivered[tuple(values)] += 1
        super().put(message, *values)


class LineWorld:
    def __init__(self, folder, baud=115_200, gateways=1):
        self.folder = str(folder)
        self.baud = baud
        self.time = SetTime()
        self.broker = Broker()
        self.broker.delivered = collections.Counter()
        self.broker.retained[TOPIC] = ORDER
        for data in RELEASE.files.values():
            self.broker.files[hashlib.sha256(data).digest()] = data
        self.sent, self.received = collections.Counter(), collections.Counter()
        self.board, end = wire(self.time, baud)
        self.gateways = []  # [end, task, gateway]
        self.plans = [None, None]  # of what the board writes, and the gateways
        self.writes = [0, 0]
        self.written = [[], []]  # the data of each
        self.first = [end] + [self._end() for _ in range(gateways - 1)]
        self.life = self.update = self.link = None
        self.problems = []
        self.events = []  # tasks of the case
        self.board.plan = lambda _, data: self._planned(0, data)

    def _end(self):
        end = End(self.time, self.baud)
        end.other = self.board
        return end

    def _planned(self, side, data):
        self.writes[side] += 1
        self.written[side].append(data)
        if self.board.deaf:
            return b""
        plan = self.plans[side]
        return plan(self.writes[side], data) if plan else data

    # What a case may do.

    def later(self, work):
        self.events.append(asyncio.create_task(work))

    def plug(self, end=None, name=None):
        end = end or self._end()
        end.plan = lambda _, data: self._planned(1, data)
        name = name or f"gw-{len(self.gateways) + 1}"
        gateway = CountingGateway(self.time, end, self.baud, self.broker, name)
        self.gateways.append((end, asyncio.create_task(gateway.run()), gateway))
        self.board.other = _Both([end for end, _, _ in self.gateways])

    async def pull(self):
        """The gateway's end is unplugged, and plugged again later."""
        for end, _, _ in self.gateways:
            end.unplug()
        await self.time.sleep(AWAY_SECONDS)
        self.plug()

    async def reset(self):
        """The board has no power for a while, as one on USB that is unplugged."""
        self.agent.crashed = True
        self.board.deaf = True
        self.life.cancel()
        await asyncio.gather(self.life, return_exceptions=True)
        await self.pull()
        self.board.deaf = False
        self.board.came = b""
        self.boot()

    def boot(self):
        self.link = Link(self, self.board)
        fetcher = SerialFetcher(self.link)
        around = ports.Ports(
            Journal(self.folder, "digits"),
            Banks(self.folder),
            Runtime(),
            fetcher,
            ports.Hooks(),
            self.time,
        )
        root, problem = root_store.newest(self.folder, ROOT)
        device = Enrolment(DEVICE.name, DEVICE.target, root)
        fetcher.enrolment = device
        self.update = Update("digits", device, around)
        walk = RootWalk(device, self.folder, self.time, problem)
        boots = Journal(self.folder, "device")
        self.agent = Agent(
            device, {"digits": self.update}, self.link, self.time, boots, walk, 10**7
        )
        self.life = asyncio.create_task(self.agent.run())

    # The whole of it.

    def run(self):
        """Lives until the update is reported; returns what is wrong."""
        return self.time.run(self._run(), MOST_SECONDS)

    async def _run(self):
        for end in self.first:
            self.plug(end)
        self.boot()
        try:
            while not self._is_done():
                if self.life.done() and not self.life.cancelled() and self.life.exception():
                    return [f"the agent ended: {self.life.exception()!r}"]
                await self.time.wait(self.broker.news, 60)
                if self.time.seconds > MOST_SECONDS / 2:
                    return [f"no end: {self.update.record}"]
            return self._faults()
        finally:
            tasks = [self.life, *self.events, *(task for _, task, _ in self.gateways)]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _is_done(self):
        if any(not task.done() for task in self.events) or not self.broker.published:
            return False
        said = [payload for topic, payload in self.broker.published if topic == REPORTED]
        if not said or self.update.record["outcome"] != "SUCCEEDED":
            return False
        try:
            return json.loads(said[-1])["models"]["digits"]["outcome"] == "SUCCEEDED"
        except ValueError:
            return False

    def _faults(self):
        faults = list(self.problems)
        for _, _, gateway in self.gateways:
            faults += gateway.problems
        live = self.update.live()
        with open(live.path, "rb") as file:
            if hashlib.sha256(file.read()).hexdigest() != RELEASE.document["files"][0]["sha256"]:
                faults.append("a damaged model serves")
        if collections.Counter(self.broker.published) - self.sent:
            faults.append("the broker has what the board did not send")
        if self.received - self.broker.delivered:
            faults.append("the board has what the gateway did not send")
        return faults


class _Both:
    """All gateways hear the board."""

    def __init__(self, ends):
        self.ends = ends

    def get(self, data):
        for end in self.ends:
            end.get(data)
