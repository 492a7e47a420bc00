"""Measures what windows of devices cost the controller, for docs/observations.md: time to take in a
window, bytes in the database, time to fold and to read them. Times are of the processor.

    python -m benchmarks.windows [--devices 10000] [--windows 8]

Each device sends windows with all measures (10 classes, one number of its own), in batches as the
writer stores them, to SQLite as the service opens it. A day is 96 windows of 15 minutes; the bytes
of a day are computed from those of the measured ones."""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from sqlalchemy import text

from modelwave_controller.service.writer import MAX_BATCH
from modelwave_controller.storage import messages, metrics, window_folding, windows
from modelwave_controller.storage.messages import Incoming
from modelwave_controller.storage.store import Store
from modelwave_controller.storage.windows import KEPT_SECONDS
from modelwave_shared import topics

FLEET = "demo"
WINDOW_SECONDS = 900
WINDOWS_A_DAY = 96
MILLION = 10**6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--windows", type=int, default=8, help="of each device")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "store.db"
        with closing(Store(f"sqlite:///{file}")) as store:
            for line in measured(store, options.devices, options.windows):
                print(line, flush=True)
    return 0


def measured(store: Store, devices: int, number: int) -> Iterator[str]:
    """Yields the rows of a table."""
    yield f"| {devices:,} devices, {number} windows each | |"
    yield "| --- | ---: |"
    understood, stored, sizes = 0.0, 0.0, []
    for window in range(1, number + 1):
        payloads = [payload(device, window) for device in range(devices)]
        sizes += [len(one) for one in payloads]
        for start in range(0, devices, MAX_BATCH):
            begun = time.process_time()
            batch = understand(payloads, start)
            understood += time.process_time() - begun
            begun = time.process_time()
            with store.write() as connection:
                metrics.add_windows(connection, batch, window * WINDOW_SECONDS)
            stored += time.process_time() - begun
    rows = devices * number
    yield f"| bytes of a document | {sum(sizes) / rows:,.0f} |"
    yield f"| ms to read and check a document | {1000 * understood / rows:.3f} |"
    yield f"| ms to store a window, in batches of {MAX_BATCH:,} | {1000 * stored / rows:.3f} |"
    held = size_of(store, "windows")
    yield f"| bytes of a stored window | {held / rows:,.0f} |"
    day = held / rows * WINDOWS_A_DAY * devices
    yield f"| MB of windows a day | {day / MILLION:,.0f} |"
    begun = time.process_time()
    with store.read() as connection:
        names = [f"device-{device}" for device in range(devices)]
        found = windows.between(connection, "digits", names, 0, number * WINDOW_SECONDS)
    yield f"| seconds to read all for a look | {time.process_time() - begun:.2f} |"
    assert sum(len(one) for one in found.values()) == rows
    begun = time.process_time()
    steps, longest = fold(store, (number + 1) * WINDOW_SECONDS + KEPT_SECONDS)
    took = time.process_time() - begun
    with store.read() as connection:
        hours = connection.scalar(text("SELECT count(*) FROM window_spans")) or 1
    hour = size_of(store, "window_spans") / hours
    yield f"| ms to fold a window | {1000 * took / rows:.3f} |"
    yield f"| ms of the longest of {steps} steps of folding | {1000 * longest:,.0f} |"
    yield f"| bytes of a stored hour | {hour:,.0f} |"
    yield f"| MB of hours a day | {hour * 24 * devices / MILLION:,.0f} |"


def understand(payloads: list[bytes], start: int) -> list[Incoming]:
    found = []
    for index, one in enumerate(payloads[start : start + MAX_BATCH], start):
        message = messages.understand(FLEET, topics.metrics(FLEET, f"device-{index}"), one)
        assert message is not None
        found.append(message)
    return found


def fold(store: Store, now: float) -> tuple[int, float]:
    """Folds everything; returns the number of steps, and the seconds of the longest."""
    steps, longest, after = 0, 0.0, ""
    while True:
        begun = time.process_time()
        with store.write() as connection:
            after = window_folding.fold(connection, now, after)
        longest = max(longest, time.process_time() - begun)
        steps += 1
        if not after:
            return steps, longest


def size_of(store: Store, table: str) -> int:
    """Returns the bytes of the pages of a table."""
    with store.read() as connection:
        found = connection.scalar(
            text("SELECT sum(pgsize) FROM dbstat WHERE name = :name"), {"name": table}
        )
    return int(found or 0)


def payload(device: int, window: int) -> bytes:
    chance = random.Random(device * 1000 + window)
    latencies = sorted(chance.choices(range(6, 9), k=3))
    classes = {str(number): chance.randint(60, 120) for number in range(10)}
    document = {
        "boot": 3,
        "n": 100 + window,
        "install": f"{device:016x}",
        "model": "digits",
        "release": 1,
        "window": window,
        "seconds": WINDOW_SECONDS,
        "inferences": 900,
        "failures": 0,
        "labelled": 100,
        "correct": chance.randint(80, 100),
        "latency": {
            "bins": [latencies[0], *(chance.randint(1, 700) for _ in latencies)],
            "log": chance.randint(2900000, 3100000),
        },
        "confidence": [7, *(chance.randint(1, 400) for _ in range(9))],
        "classes": classes,
        "numbers": {
            "power_mw": [
                900,
                chance.randint(309 * MILLION, 311 * MILLION),
                chance.randint(4 * MILLION, 6 * MILLION),
                295 * MILLION + chance.randint(0, MILLION),
                325 * MILLION + chance.randint(0, MILLION),
                chance.randint(5735000, 5737000),
            ]
        },
        "age_seconds": chance.randint(0, 5),
    }
    return json.dumps(document).encode()


if __name__ == "__main__":
    sys.exit(main())
