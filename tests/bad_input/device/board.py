"""A board that gets bad input, on MicroPython:

    micropython board.py FOLDER

FOLDER holds what tests/bad_input/running.py has written there. Prints what turns.py says.
"""

import asyncio
import gc
import json
import sys

HERE = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
ROOT = HERE + "/../../.."
sys.path[:0] = [sys.argv[2], ROOT] if sys.argv[2:] else [ROOT, ROOT + "/shared", ROOT + "/agent"]

from modelwave_agent.board.agent import BoardAgent  # noqa: E402
from modelwave_agent.board.runtime import FunctionRuntime  # noqa: E402

gc.threshold(65536)  # the agent's own is for small heaps, and takes most of the time

from tests.bad_input.device import turns  # noqa: E402
from tests.board.programs import stand_in  # noqa: E402
from tests.board.programs.agent_fakes import FolderFetcher  # noqa: E402

GIVEN = sys.argv[1]


def in_use():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()


def main():
    with open(GIVEN + "/cases.json") as file:
        given = json.load(file)
    wire = turns.Wire(GIVEN + "/files")
    agent = BoardAgent(
        given["device"],
        given["target"],
        {turns.MODEL: FunctionRuntime(stand_in.load, ram=given["ram"])},
        wire,
        GIVEN + "/board",
        GIVEN + "/root.json",
        FolderFetcher(GIVEN + "/files"),
        wall=lambda: given["now"],
        bank_bytes=given["flash"],
    )

    def forward(seconds):
        agent.clock.passed += seconds * 1000

    taken = turns.Turns(agent, wire, GIVEN + "/board", GIVEN, forward, in_use)
    asyncio.run(turns.alive(agent.run(), turns.run(taken, given)))


main()
