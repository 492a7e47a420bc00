"""Brings files into a bank over MQTT as the agent does, on MicroPython:

    micropython blocks_fetch.py CONFIG.json

CONFIG.json: {path: what stands before sys.path, host, port, device, folder: the bank's,
files: [{role, size, sha256}], url: of the file server, or "" for blocks over MQTT,
gate: a byte of the first file at which the program stands still until the file `go` is in
its folder; 0 for none, silence: seconds without a block after which it asks again; 0
for its own}. Prints a JSON object a line: {connected}, {gate}, {end: what went
wrong, or ""; ms: from the first request; asked: requests for blocks; alloc: bytes of the
heap in use after a collection; before: the same before the download}.
"""

import json
import sys

with open(sys.argv[1]) as file:
    config = json.load(file)
sys.path[:0] = config["path"]

import asyncio  # noqa: E402
import gc  # noqa: E402
import os  # noqa: E402
import time  # noqa: E402

from modelwave_agent import block_fetcher  # noqa: E402
from modelwave_agent.banks import Banks  # noqa: E402
from modelwave_agent.board.clock import BoardClock  # noqa: E402
from modelwave_agent.board.http import HttpFetcher  # noqa: E402
from modelwave_agent.board.mqtt import MqttLink  # noqa: E402
from modelwave_agent.download import Download, Spoiled  # noqa: E402
from modelwave_agent.model_report import ModelReport  # noqa: E402
from modelwave_agent.ports import FetchError, LinkLost  # noqa: E402
from modelwave_agent.retries import Retries  # noqa: E402
from modelwave_shared import topics  # noqa: E402

if config["silence"]:
    block_fetcher.SILENCE_SECONDS = config["silence"]
FLEET, DEVICE = "demo", config["device"]
FOLDER = config["folder"]


def say(**words):
    print(json.dumps(words))


class GatedBanks(Banks):
    def intake(self, bank, entry):
        intake = Banks.intake(self, bank, entry)
        write = intake.write

        def gated(data):
            write(data)
            if intake.offset - len(data) < config["gate"] <= intake.offset:
                say(gate=intake.offset)
                while "go" not in os.listdir(FOLDER):
                    time.sleep_ms(5)

        if config["gate"]:
            intake.write = gated
        return intake


class CountingLink(MqttLink):
    asked = 0

    async def publish(self, topic, payload, retain):
        self.asked += 1
        await MqttLink.publish(self, topic, payload, retain)


async def stay_connected(link, fetcher, up):
    while True:
        try:
            await link.connect(topics.presence(FLEET, DEVICE), b"offline")
            await link.subscribe([topics.file_block(FLEET, DEVICE)])
            say(connected=True)
            up.set()
            while True:
                _, payload = await link.receive()
                fetcher.take(payload)
        except LinkLost:
            await asyncio.sleep_ms(100)


async def main():
    clock = BoardClock()
    link = CountingLink(config["host"], config["port"], DEVICE, keepalive=10)
    fetcher = block_fetcher.BlockFetcher(link, FLEET, DEVICE, clock)
    up = asyncio.Event()
    connection = asyncio.create_task(stay_connected(link, fetcher, up))
    await up.wait()
    if config["url"]:
        fetcher = HttpFetcher(hosts=[config["url"].split("/")[2]])
    gc.collect()
    before = gc.mem_alloc()
    start = time.ticks_ms()
    problem = ""
    try:
        retries = Retries(clock, ModelReport(), None)
        download = Download(GatedBanks(FOLDER), 0, fetcher, clock, retries)
        await download.run(config["files"], [config["url"] or "http://nobody"])
    except (FetchError, Spoiled, OSError) as error:
        problem = str(error)
    passed = time.ticks_diff(time.ticks_ms(), start)
    connection.cancel()
    await link.close()
    gc.collect()
    say(end=problem, ms=passed, asked=link.asked, before=before, alloc=gc.mem_alloc())


asyncio.run(main())
