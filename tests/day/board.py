"""The program of a board in the day, on MicroPython:

    micropython board.py SETTINGS.json

It is the digits example's, with the day's clock (clock.py) in the place of the board's: the module
`time`, and what asyncio waits with."""

import json
import struct
import sys
import time as own

SLICE_MS = 20  # of real time, between two looks at the clock

with open(sys.argv[1]) as file:
    settings = json.load(file)
sys.path[:0] = settings["path"]


SEEN = 16  # where the places of the agents begin in the clock's file
clock = open(settings["clock"], "r+b")  # noqa: SIM115
passed = bytearray(8)


def passed_ms():
    clock.seek(0)
    clock.readinto(passed)
    return struct.unpack("<q", passed)[0]


def note_seen():
    passed_ms()
    clock.seek(SEEN + 8 * settings["place"])
    clock.write(passed)


# asyncio's queue, which is in C, puts what is due at once at the board's own ticks. The day's begin
# there and go faster, so for them that is past, and never hours ahead.
ORIGIN = own.ticks_add(own.ticks_ms(), -passed_ms())


class Time:
    """Stands for the module `time`. A method could not be imported from it by name, so its
    functions are attributes."""

    def __init__(self):
        self.ticks_ms = lambda: own.ticks_add(ORIGIN, passed_ms())

    def __getattr__(self, name):
        return getattr(own, name)


sys.modules["time"] = Time()

import asyncio  # noqa: E402
import asyncio.core  # noqa: E402

whole = asyncio.core.IOQueue.wait_io_event


def in_slices(self, milliseconds):
    note_seen()
    whole(self, SLICE_MS if milliseconds < 0 else min(milliseconds, SLICE_MS))


asyncio.core.IOQueue.wait_io_event = in_slices

import tflite_dense  # noqa: E402

from modelwave_agent.board.agent import BoardAgent  # noqa: E402
from modelwave_agent.board.mqtt import MqttLink  # noqa: E402
from modelwave_agent.board.runtime import FunctionRuntime  # noqa: E402

KERNELS = ["FULLY_CONNECTED", "SOFTMAX"]


def healthy(live):
    with open(settings["unwell"]) as file:
        return "the program is unwell" if str(live.release) in file.read().split() else ""


async def main():
    agent = BoardAgent(
        settings["device"],
        settings["target"],
        {"digits": FunctionRuntime(tflite_dense.load, kernels=KERNELS)},
        MqttLink("127.0.0.1", settings["port"], settings["device"], keepalive=60),
        folder=settings["folder"],
        root=settings["root"],
        healthy=healthy,
        bank_bytes=32768,
    )
    await agent.run()


asyncio.run(main())
