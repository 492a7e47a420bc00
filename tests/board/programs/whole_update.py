"""A whole update on a board, measured: the order comes over MQTT, its two signatures are
verified, the model and its golden set come in blocks, are hashed, proven, put on trial and
confirmed, and it is reported.

    micropython -X heapsize=64k whole_update.py CONFIG.json

CONFIG.json: {path: what stands before sys.path (the source tree's folders, or the built
package's one), host, port, keepalive, root: the file of the root's envelope, folder: the
device's, seq: of the order whose outcome ends this, sample: whether the heap is sampled.
With host "" nothing is on the network: files is the folder of the file server and message
the file of the order's message}. Prints a JSON object a line:

    idle   the agent is connected, has nothing to do and has said so. heap: bytes that are
           in use after a collection, the program's own among them. The order is to be
           published now, if there is a broker.
    end    outcome: the acknowledged report's; release: what serves; heap: as above;
           peak: the most that was in use after a collection (with `sample`), at each tick
           of the program and wherever the agent lets others run. What it uses between two
           such moments does not show: the smallest heap in which this program works is the
           better figure. stall: the longest that a task of 10 ms was late, in ms (with
           `sample` the collections are in it); seconds: from the order's arrival.
"""

import json
import sys

with open(sys.argv[1]) as file:
    config = json.load(file)
sys.path[:0] = config["path"]

import asyncio  # noqa: E402
import gc  # noqa: E402
import time  # noqa: E402

import stand_in  # noqa: E402

from modelwave_agent.board.agent import BoardAgent  # noqa: E402
from modelwave_agent.board.runtime import FunctionRuntime  # noqa: E402

if config["host"]:
    from modelwave_agent.board.mqtt import MqttLink as Link
else:
    from agent_fakes import NearLink as Link

MODEL, DEVICE, TARGET = "digits", "pico-1", "rp2040"
TICK_MS = 10
QUIET_MS = 500  # without news, before the heap is looked at


class Program:
    """The program around the agent: it ticks, and watches what the agent reports."""

    def __init__(self):
        self.outcome = ""
        self.reports = 0
        self.peak = self.stall = 0
        self.start = 0
        self.life = None  # the agent's task

    def sample(self):
        if config["sample"]:
            gc.collect()
            self.peak = max(self.peak, gc.mem_alloc())

    async def tick(self):
        while True:
            start = time.ticks_ms()
            await asyncio.sleep_ms(TICK_MS)
            late = time.ticks_diff(time.ticks_ms(), start) - TICK_MS
            self.stall = max(self.stall, late)
            self.sample()

    def reported(self, payload):
        self.reports += 1
        if b'"seq": %d,' % config["seq"] in payload + b",":
            if not self.start:
                self.start = time.ticks_ms()
            for outcome in (b"SUCCEEDED", b"ROLLED_BACK", b"REJECTED", b"FAILED"):
                if outcome in payload:
                    self.outcome = outcome.decode()

    async def quiet(self, until):
        """Waits until there is no more news; the bytes in use. Ends with the agent."""
        while not until():
            await asyncio.sleep_ms(TICK_MS)
            if self.life.done():
                sys.exit(1)
        await asyncio.sleep_ms(QUIET_MS)
        gc.collect()
        return gc.mem_alloc()


program = Program()


class Watched(Link):
    async def publish(self, topic, payload, retain):
        await Link.publish(self, topic, payload, retain)
        if "/reported/" in topic:
            program.reported(payload)


def link():
    if config["host"]:
        return Watched(config["host"], config["port"], DEVICE, keepalive=config["keepalive"])
    return Watched([], config["files"])


async def main():
    agent = BoardAgent(
        DEVICE,
        TARGET,
        {MODEL: FunctionRuntime(stand_in.load)},
        link(),
        config["folder"],
        config["root"],
        feed=program.sample,
    )
    program.life = asyncio.create_task(agent.run())
    idle = await program.quiet(lambda: program.reports)
    print(json.dumps({"idle": {"heap": idle}}))
    ticking = asyncio.create_task(program.tick())
    if not config["host"]:
        agent.link.order(config["message"])
    heap = await program.quiet(lambda: program.outcome)
    seconds = (time.ticks_diff(time.ticks_ms(), program.start) - QUIET_MS) / 1000
    ticking.cancel()
    live = agent.live(MODEL)
    end = {
        "outcome": program.outcome,
        "release": live.release if live else 0,
        "heap": heap,
        "peak": program.peak,
        "stall": program.stall,
        "seconds": seconds,
    }
    print(json.dumps({"end": end}))
    program.life.cancel()


asyncio.run(main())
