"""A board whose console is the wire to a gateway: it publishes, gets a message and a file, and
prints in between.

    micropython -X heapsize=112k serial_console.py CONFIG.json

CONFIG.json: {path: what stands before sys.path, file: [sha256, size], topic: whose message it
takes}. It publishes "done", with what it got: the message and the file's sha256.
"""

import json
import sys

with open(sys.argv[1]) as file:
    config = json.load(file)
sys.path[:0] = config["path"]

import asyncio  # noqa: E402
import gc  # noqa: E402
import hashlib  # noqa: E402

import modelwave_agent.board.garbage  # noqa: E402, F401  first, as in the agent
from modelwave_agent.board.serial_fetcher import SerialFetcher  # noqa: E402
from modelwave_agent.board.serial_link import SerialLink  # noqa: E402
from modelwave_agent.board.serial_stream import ConsoleStream  # noqa: E402


class Intake:
    def __init__(self, sha256, wanted):
        self.sha256 = sha256
        self.wanted = wanted
        self.offset = 0
        self.digest = hashlib.sha256()

    def write(self, data):
        self.digest.update(data)
        self.offset += len(data)
        if self.offset % 5 == 0:
            print("byte %d of a download" % self.offset)


async def main():
    print("a board starts")
    link = SerialLink(ConsoleStream(), "pico-1")
    fetcher = SerialFetcher(link, ())
    await link.connect("presence", b"offline")
    print("connected by way of", link.via)
    await link.subscribe([config["topic"]])
    _, payload = await link.receive()
    intake = Intake(*config["file"])
    await fetcher.fetch("http://nobody/", intake)
    gc.collect()
    got = {"payload": payload.decode(), "sha256": intake.digest.digest().hex()}
    await link.publish("heap", str(gc.mem_alloc()).encode(), False)
    await link.publish("done", json.dumps(got).encode(), False)
    await link.close()


asyncio.run(main())
