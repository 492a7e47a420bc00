"""Hands the bad messages to a whole agent, one case after the other. For both Pythons.

Each case has its turn: its messages come, the last of them comes again so many times, and then a
good one comes. Printed is a JSON object a line, of what has changed and what was reported:

    case      its number
    changed   what is not as before: names of files, "record", "live", "root"
    reports   how many came, and `again` how many for the repeats
    refused, outcome, reason, seq, state    of the last report
    good      whether the good message was taken
    heap      bytes (on CPython, blocks) in use at the end of the turn, after a collection
"""

import asyncio
import binascii
import hashlib
import json
import os

from modelwave_agent import runner
from tests.board.programs.agent_fakes import NearLink

# What the agent does by time alone, which a slow machine would see in the midst of a case.
runner.REPEAT_SECONDS = (86400,)
runner.AGAIN_SECONDS = 86400

SETTLES = 30  # turns of the event loop, in which a report that is due is published
PATIENCE = 200_000  # turns of the event loop, for what takes many
FOLDER, FILE = 0x4000, 0x8000  # of a file's mode
MODEL = "digits"
CONNECTED = "agent.connected"  # a host tells by this file that it has a broker


class Wire(NearLink):
    """The broker; it keeps the last report alone."""

    def __init__(self, files):
        NearLink.__init__(self, [], files)
        self.is_idle = False  # the agent has handled all that came
        self.reports = 0
        self.last = b""

    async def subscribe(self, wanted):
        await NearLink.subscribe(self, list(self.topics) + wanted)

    async def publish(self, topic, payload, retain):
        await NearLink.publish(self, topic, payload, retain)
        if "/reported/" in topic:
            self.reports += 1
            self.last = payload

    async def receive(self):
        self.is_idle = not self.messages and not self.asked
        return await NearLink.receive(self)

    async def bring(self, topic, payloads):
        """Delivers the messages; returns once the agent has handled them and said so."""
        assert topic in self.topics, topic
        self.is_idle = False
        self.messages.extend([(topic, payload) for payload in payloads])
        self.arrived.set()
        await until(lambda: self.is_idle)
        for _ in range(SETTLES):
            await asyncio.sleep(0)


async def until(done):
    for _ in range(PATIENCE):
        if done():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came")


class Turns:
    """`agent`: a core Agent on `wire`; `state`: its folder; `given`: the folder with the cases;
    `forward(seconds)` lets time pass; `in_use()` gives the heap after a collection."""

    def __init__(self, agent, wire, state, given, forward, in_use):
        self.agent = agent
        self.wire = wire
        self.state = state
        self.given = given
        self.forward = forward
        self.in_use = in_use
        self.update = agent.updates[MODEL]

    def read(self, name):
        with open(self.given + "/" + name, "rb") as file:
            return file.read()

    def report(self):
        return json.loads(self.wire.last)

    def is_over(self, seq, outcome="SUCCEEDED"):
        """Whether the last report tells this outcome of the order with this number."""
        said = self.report()["models"][MODEL] if self.wire.last else {"seq": 0}
        return said["seq"] == seq and said["outcome"] == outcome and said["state"] == "idle"

    def found(self):
        """What must not change, by name."""
        live = self.update.live()
        told = {
            "record": json.dumps(self.update.record),
            "live": [live.release, live.path, live.on_trial] if live else None,
            "root": self.agent.device.root_version,
        }
        told.update(_files(self.state))
        return told

    async def begin(self, begin):
        """Brings the device to the state in which the cases find it."""
        for topic, name, seq in begin:
            await until(lambda topic=topic: topic in self.wire.topics)
            await self.wire.bring(topic, [self.read(name)])
            if seq:
                await until(lambda seq=seq: self.is_over(seq))

    async def take(self, case):
        """One turn; returns what is to be printed."""
        self.forward(61)  # a bad root or heartbeat holds up the next one for a minute
        if "/heartbeat/" in case["topic"]:
            self.agent.view.nonce = case["nonce"]
        before, reports = self.found(), self.wire.reports
        for name in case["messages"]:
            message = self.read(name)
            await self.wire.bring(case["topic"], [message])
        first = self.wire.reports
        await self.wire.bring(case["topic"], [message] * case["times"])
        after, again = self.found(), self.wire.reports
        told = self.report()
        shown = told["models"][MODEL]
        shown = {name: shown[name] for name in ("outcome", "reason", "seq", "state")}
        shown["changed"] = [name for name in after if after[name] != before.get(name)]
        shown["changed"] += [name for name in before if name not in after]
        shown["reports"], shown["again"] = first - reports, again - first
        shown["refused"] = told["refused"]
        del before, after, message, told
        shown["good"] = await self._good(case)
        shown["heap"] = self.in_use()
        return shown

    async def _good(self, case):
        """The good message comes: an order with a new number, the cleared topic of a root, or the
        answer to the device's nonce."""
        self.forward(61)
        await self.wire.bring(case["topic"], [self.read(case["good"]) if case["good"] else b""])
        if case["seq"]:
            await until(lambda: self.is_over(case["seq"]))
        return not self.report()["refused"]


def _files(folder):
    """{path: sha256} of all files under it."""
    found = {}
    for name in os.listdir(folder):
        path = folder + "/" + name
        mode = os.stat(path)[0] & 0xF000
        if mode == FOLDER:
            found.update(_files(path))
        elif mode == FILE and name != CONNECTED:
            with open(path, "rb") as file:
                found[path] = binascii.hexlify(hashlib.sha256(file.read()).digest()).decode()
    return found


async def run(turns, given):
    """Takes all turns, and at the end what is good; `given`: the parsed cases.json."""
    await turns.begin(given["begin"])
    for number, case in enumerate(given["cases"]):
        shown = await turns.take(case)
        shown["case"] = number
        print(json.dumps(shown))
        del shown
    for topic, name, seq, outcome in given["end"]:
        await turns.wire.bring(topic, [turns.read(name)])
        if seq:
            await until(lambda s=seq, o=outcome: turns.is_over(s, o))
        live, told = turns.update.live(), turns.report()
        shown = {"end": name, "live": live.release, "refused": told["refused"]}
        shown["reason"] = told["models"][MODEL]["reason"]
        print(json.dumps(shown))


async def alive(agent, work):
    """Runs the agent and the work; the agent's end is the work's."""
    life = asyncio.create_task(agent)
    doing = asyncio.create_task(work)
    while not doing.done() and not life.done():
        await asyncio.sleep(0)
    (life if doing.done() else doing).cancel()
    if life.done():
        await life
    await doing
