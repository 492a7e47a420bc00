"""A board without a network, behind a gateway: it reads digits, and its console is its wire.

    micropython from_rom.py IMAGE relay_board SETTINGS.json

SETTINGS.json: {device, target, root, folder, hosts: of files, gate: bytes of a file at which the
board stands still, reading and writing nothing, until the file `go` is in its folder; 0 for none}.
"""

import asyncio
import json
import os
import sys
import time

import tflite_dense

from modelwave_agent.board.agent import BoardAgent
from modelwave_agent.board.runtime import FunctionRuntime
from modelwave_agent.board.serial_fetcher import SerialFetcher
from modelwave_agent.board.serial_link import SerialLink
from modelwave_agent.board.serial_stream import ConsoleStream

with open(sys.argv[1]) as file:
    settings = json.load(file)
FOLDER, DEVICE = settings["folder"], settings["device"]


class GatedFetcher(SerialFetcher):
    def take(self, message, values):
        SerialFetcher.take(self, message, values)
        while settings["gate"] and self.intake and self.intake.offset >= settings["gate"]:
            if "go" in os.listdir(FOLDER):
                settings["gate"] = 0
            elif "stopped" not in os.listdir(FOLDER):
                open(FOLDER + "/stopped", "w").close()
            time.sleep(0.01)


def serve(live):
    print("release %d serves" % live.release)


link = SerialLink(ConsoleStream(), DEVICE)
agent = BoardAgent(
    DEVICE,
    settings["target"],
    {"digits": FunctionRuntime(tflite_dense.load, kernels=["FULLY_CONNECTED", "SOFTMAX"])},
    link,
    folder=FOLDER,
    root=settings["root"],
    fetcher=GatedFetcher(link, settings["hosts"]),
    serve=serve,
)
print("starts")
asyncio.run(agent.run())
