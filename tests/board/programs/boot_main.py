"""A board's main.py, which starts its program by the boot module:

    micropython boot_main.py CONFIG.json

CONFIG.json: path: before sys.path; folder: the agent's; connect_seconds; and what the program
self_update_life.py needs. A reset is the end of this process."""

import json
import os
import sys

with open(sys.argv[1]) as file:
    config = json.load(file)
sys.path[:0] = config["path"]

import modelwave_boot  # noqa: E402


def reset():
    print(json.dumps({"reset": modelwave_boot.START.place}))
    os.system("kill -9 $PPID")


modelwave_boot.PAUSE_SECONDS = 0
modelwave_boot.run("self_update_life", config["folder"], config["connect_seconds"], reset)
