"""What the other mqtt_ programs share. argv: the folder with the compiled package, then what
the program says."""

import gc
import os
import sys

sys.path[:] = [sys.argv[1], __file__.rsplit("/", 1)[0], ".frozen"]

import asyncio  # noqa: E402

from modelwave_agent.board.mqtt import MqttLink  # noqa: E402
from modelwave_agent.ports import LinkLost  # noqa: E402

PRESENCE = "modelwave/1/demo/presence/pico-1"
TOPIC = "modelwave/1/demo/desired/rp2040/digits/7"
SECONDS = 20  # for what takes a fraction of one


def link_to(port, client_id="pico-1", **settings):
    return MqttLink(settings.pop("host", "127.0.0.1"), int(port), client_id, **settings)


async def connected(link):
    await link.connect(PRESENCE, b"offline")
    return link


async def problem(work):
    """What LinkLost says, or "" if there was none."""
    try:
        await work
    except LinkLost as error:
        return str(error)
    return ""


def open_files():
    return len(os.listdir("/proc/self/fd"))


def waiting_for_sockets():
    return len(asyncio.core._io_queue.map)


def heap():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()


def run(main, seconds=SECONDS):
    async def limited():
        await asyncio.wait_for(main, seconds)

    asyncio.run(limited())
    print("done")
