"""Prints what the proof of a report costs a board, beside a report without one:

micropython benchmarks/on_board/proof.py
mpremote mount . run benchmarks/on_board/proof.py
"""

import gc
import json
import sys
import time

sys.path[:0] = ["shared", "agent"]

from modelwave_shared import proofs  # noqa: E402

TOPIC = "modelwave/1/fleet/reported/pico-1"
REPORT = {
    "boot": 4,
    "n": 99,
    "install": "0" * 16,
    "target": "rp2040",
    "agent": "modelwave-agent 0.1.0",
    "reads": {"root": 2, "manifest": 1, "order": 1},
    "free": {"flash": 100000, "ram": 100000},
    "runtime": "tflite",
    "runtime_version": "",
    "accelerator": "",
    "refused": "",
    "models": {
        "digits": {
            "release": 3,
            "sha256": "0" * 64,
            "state": "idle",
            "epoch": 0,
            "seq": 12,
            "outcome": "SUCCEEDED",
            "reason": "",
        }
    },
}
TIMES, BURSTS = 3, 2000


def plain():
    return json.dumps(REPORT).encode()


def proven():
    return proofs.sealed(bytes(32), TOPIC, plain())


def heap(make):
    """Bytes that are allocated while the report is made."""
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    make()
    used = gc.mem_alloc() - before
    gc.enable()
    return used


def microseconds(make):
    """The least of many bursts: others use the machine, too."""
    best = 10**9
    for _ in range(BURSTS):
        start = time.ticks_us()
        for _ in range(TIMES):
            make()
        best = min(best, time.ticks_diff(time.ticks_us(), start) / TIMES)
    return best


print(f"bytes: {len(plain())}, proven {len(proven())}")
print(f"heap: {heap(proven) - heap(plain)} more bytes")
first, second = microseconds(plain), microseconds(proven)
print(f"time: {first:.1f} us, proven {second:.1f} us: {second / first:.1f} times")
