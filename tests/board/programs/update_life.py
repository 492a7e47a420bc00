"""A board's life with much happening: connections lost, updates one after the other.

    micropython update_life.py CONFIG.json

CONFIG.json: as whole_update.py's, and: last: the number of the last order, with whose outcome
this ends; reconnects: how often it closes its connection itself before each order; hasty:
whether pauses of about a second to a minute last a few milliseconds (the keep-alive must
be longer then). Prints a JSON object a
line:

    connected
    lost     why
    ready    number: the order with this number may be published
    outcome  number, outcome, heap: bytes in use after a collection, once it is reported
"""

import json
import sys

with open(sys.argv[1]) as file:
    config = json.load(file)
sys.path[:0] = config["path"]

import asyncio  # noqa: E402
import gc  # noqa: E402

import stand_in  # noqa: E402

from modelwave_agent.board.agent import BoardAgent  # noqa: E402
from modelwave_agent.board.mqtt import MqttLink  # noqa: E402
from modelwave_agent.board.runtime import FunctionRuntime  # noqa: E402
from modelwave_agent.ports import LinkLost  # noqa: E402

MODEL, DEVICE, TARGET = "digits", "pico-1", "rp2040"
HASTE_MS = 5
QUIET_MS = 200


class Seen:
    """What the broker has acknowledged."""

    number = 1  # of the order that comes next
    reports = 0
    outcome = ""


sleep_ms = asyncio.sleep_ms


def hasty_sleep_ms(ms):
    return sleep_ms(HASTE_MS if 500 < ms < 100_000 else ms)


class Watched(MqttLink):
    async def connect(self, will_topic, will):
        await MqttLink.connect(self, will_topic, will)
        tell("connected", {})

    async def receive(self):
        try:
            return await MqttLink.receive(self)
        except LinkLost as error:
            tell("lost", {"why": str(error)})
            raise

    async def publish(self, topic, payload, retain):
        await MqttLink.publish(self, topic, payload, retain)
        if "/reported/" in topic:
            Seen.reports += 1
            if b'"seq": %d,' % Seen.number in payload or b'"seq": %d}' % Seen.number in payload:
                for outcome in (b"SUCCEEDED", b"ROLLED_BACK", b"REJECTED", b"FAILED"):
                    if outcome in payload:
                        Seen.outcome = outcome.decode()


def tell(what, told):
    print(json.dumps({what: told}))


async def until(done):
    while not done():
        await asyncio.sleep_ms(5)


async def reconnect(link):
    """Closes the connection once it has brought a report, and so on."""
    for _ in range(config["reconnects"]):
        Seen.reports = 0
        await link.close()
        await until(lambda: Seen.reports)


async def main():
    if config["hasty"]:
        asyncio.sleep_ms = hasty_sleep_ms
    link = Watched(config["host"], config["port"], DEVICE, keepalive=config["keepalive"])
    agent = BoardAgent(
        DEVICE,
        TARGET,
        {MODEL: FunctionRuntime(stand_in.load)},
        link,
        config["folder"],
        config["root"],
    )
    life = asyncio.create_task(agent.run())
    await until(lambda: Seen.reports or life.done())
    while Seen.number <= config["last"] and not life.done():
        await reconnect(link)
        Seen.outcome = ""
        tell("ready", {"number": Seen.number})
        await until(lambda: Seen.outcome or life.done())
        await asyncio.sleep_ms(QUIET_MS)
        gc.collect()
        gc.collect()
        told = {"number": Seen.number, "outcome": Seen.outcome, "heap": gc.mem_alloc()}
        tell("outcome", told)
        Seen.number += 1
    life.cancel()


asyncio.run(main())
