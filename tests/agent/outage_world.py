"""A fleet of real agents, in simulated time, whose file server is down for a while. The server is
asked by all of them, and counts the requests. Journals, banks and the broker are in memory."""

import asyncio
import copy
import hashlib
import io
import json
import random
from collections import Counter

from modelwave_agent.banks import Banks
from modelwave_agent.intake import Intake
from modelwave_agent.journal import Journal
from modelwave_agent.ports import BrokerLink, Fetcher, FetchError, Hooks, Ports, Runtime
from modelwave_agent.root_walk import RootWalk
from modelwave_agent.runner import Agent
from modelwave_agent.types import Enrolment
from modelwave_agent.update import Update
from modelwave_shared import topics
from tests import signing
from tests.agent import simulated_time
from tests.agent.simulated_time import SimulatedClock

RELEASE = signing.Release(1, b"a model")
ROOT = signing.root()
ORDER = signing.order(RELEASE, 1, trial={"seconds": 0, "inferences": 0})


class FileServer:
    """It is down until `back_at` (seconds): each request gets `problem` and `retry_after`."""

    def __init__(self, problem, retry_after, back_at):
        self.problem, self.retry_after, self.back_at = problem, retry_after, back_at
        self.requests = []

    def answer(self, sha256, now):
        self.requests.append(now)
        if now < self.back_at:
            raise FetchError(self.problem, self.retry_after)
        return RELEASE.files[sha256]


class Outage:
    """What was seen. `seconds`: how long it lasted; `installed`: when each device reported
    SUCCEEDED, in seconds from the order on."""

    def __init__(self, server, installed):
        self.seconds = server.back_at
        self.installed = installed
        self._counts = Counter(int(at) for at in server.requests)

    def by_second(self, until=None):
        """[requests] of each second, of the outage or `until` that second."""
        return [self._counts[second] for second in range(until or self.seconds)]

    def recovery(self):
        """Seconds from the server's return to the last device's SUCCEEDED."""
        return max(self.installed) - self.seconds


def simulate(devices, seconds, problem="503 Service Unavailable", retry_after=0, seed=1):
    """Gives `devices` an order at one moment, at which the server goes down for `seconds`; ends
    when all have SUCCEEDED."""
    random.seed(seed)
    server = FileServer(problem, retry_after, seconds)
    return Outage(server, simulated_time.run(_lived(devices, server)))


async def _lived(devices, server):
    links = [_MemoryLink(f"pi-{number}") for number in range(devices)]
    lives = [asyncio.create_task(_agent(link, server).run()) for link in links]
    done = asyncio.gather(*(link.succeeded for link in links))
    await asyncio.wait([done, *lives], return_when=asyncio.FIRST_COMPLETED)
    for life in lives:
        life.cancel()
    ended = await asyncio.gather(*lives, return_exceptions=True)
    assert all(isinstance(error, asyncio.CancelledError) for error in ended), ended
    return await done


def _agent(link, server):
    clock = SimulatedClock(signing.ISSUED)
    device = Enrolment(link.name, "linux-cpu", ROOT)
    ports = Ports(
        _MemoryJournal("", "digits"),
        _MemoryBanks(""),
        _Healthy(),
        _OutageFetcher(server),
        Hooks(),
        clock,
    )
    boots = _MemoryJournal("", "device")
    walk = RootWalk(device, "", clock)  # there is no other root
    return Agent(device, {"digits": Update("digits", device, ports)}, link, clock, boots, walk)


class _OutageFetcher(Fetcher):
    def __init__(self, server):
        self.server = server

    async def fetch(self, url, intake):
        await asyncio.sleep(0)
        data = self.server.answer(url.split("/")[-1], asyncio.get_running_loop().time())
        intake.write(data[intake.offset :])


class _Healthy(Runtime):
    name, format, version = "tflite-runtime", "tflite", "2.14.0"

    def free_ram(self):
        return 100_000

    async def prove(self, model_path, golden_path, manifest, breathe):
        return ""


class _MemoryJournal(Journal):
    record = None

    def read(self, key=""):
        return self.record

    def write(self, record):
        self.record = copy.deepcopy(record)

    def problem(self):
        return ""

    def _make(self):
        pass


class _MemoryBanks(Banks):
    def __init__(self, folder):
        super().__init__(folder)
        self.files = {}

    def size(self, bank, role):
        return len(self.files.get((bank, role), b""))

    def room(self, bank):
        return 100_000

    def clear(self, bank):
        self.files = {place: data for place, data in self.files.items() if place[0] != bank}

    def intake(self, bank, entry):
        return _MemoryIntake(self.files, (bank, entry["role"]), entry)


class _MemoryIntake(Intake):
    def __init__(self, files, place, entry):
        self.files, self.place = files, place
        self.offset = self.synced = len(files.get(place, b""))
        self.wanted, self.sha256 = entry["size"], entry["sha256"]
        self.digest = hashlib.sha256(files.get(place, b""))
        self.file = io.BytesIO()

    async def catch_up(self, breathe):
        pass

    def write(self, data):
        self.synced = self.wanted  # nothing is to be synced
        super().write(data)

    def close(self):
        self.files[self.place] = self.files.get(self.place, b"") + self.file.getvalue()


class _MemoryLink(BrokerLink):
    """A broker with the order. `succeeded`: when the device has reported SUCCEEDED."""

    def __init__(self, name):
        self.name = name
        self.succeeded = asyncio.get_running_loop().create_future()
        self.arrived = asyncio.Queue()

    async def connect(self, will_topic, will):
        pass

    async def subscribe(self, wanted):
        topic = next(one for one in wanted if "/desired/" in one)
        self.arrived.put_nowait((topic, ORDER))

    async def subscribe_if_allowed(self, wanted):
        return False

    async def publish(self, topic, payload, retain):
        if topic == topics.reported("demo", self.name):
            state = json.loads(payload)["models"]["digits"]
            if state["outcome"] == "SUCCEEDED" and not self.succeeded.done():
                self.succeeded.set_result(asyncio.get_running_loop().time())

    async def receive(self):
        return await self.arrived.get()
