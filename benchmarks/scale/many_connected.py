"""One wave to 100,000 connected devices, in the long form alone.

    python -m benchmarks.scale.many_connected [DEVICES]    as many, and no other measurement

Three rows: of how many devices the service has stored a report before the wave, how many have the
order, and of how many the service has stored that they run the release. It waits until these are
all, or have not grown for a minute. A service that ends with fewer has a fault: what devices
report waits at the broker while the service is behind.

A process holds as many connections as the system lets it have files (`ulimit -Hn`). Where that is
too few for one Mosquitto there are several, all with the shipped file and the queue that it names
for such a fleet. The service uses one of them; each of the others takes the orders from there and
hands on what its devices say, by a bridge. The devices are in several processes, each of which
connects from an address of its own: between two addresses there are some 28,000 ports."""

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.scale.fleet import (
    Fleet,
    World,
    connected_fleet,
    grown,
    scalar,
    wait_until,
    work_of,
)
from benchmarks.scale.row import Row
from benchmarks.scale.shipped import Shipped, shipped
from rollout_world import FLEET, quick  # fleet.py has put it on the path

from modelwave_controller import descriptors
from modelwave_controller.load.processes import shares
from modelwave_controller.load.worker import Work
from modelwave_shared import topics
from modelwave_shared.words import SUCCEEDED

DEVICES = 100_000
UPDATE_SECONDS = 30
QUEUE = {
    "max_queued_messages 100000": "max_queued_messages 250000",
    "max_queued_bytes 100000000": "max_queued_bytes 250000000",
}
DOWN, UP = ("desired", "root", "heartbeat"), ("reported", "presence", "metrics")


def rows(long: bool, devices: int = DEVICES) -> Iterator[Row]:
    if not long:
        return
    room = descriptors.allow(devices)
    brokers = -(-devices // room)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made = list(_brokers(stack, folder, brokers))

        def works(world: World) -> Sequence[Work]:
            work = replace(work_of(world, 0, devices), update_seconds=UPDATE_SECONDS)
            found = shares(work, 2 * brokers)
            return [replace(one, port=made[i % brokers].port) for i, one in enumerate(found)]

        begun = time.time()
        fleet, world = stack.enter_context(connected_fleet(folder, made[0].port, works))
        connected = time.time() - begun
        print(f"{devices:,} are connected after {connected:.0f} s", flush=True)
        known = grown(world, "select count(*) from devices", devices)
        seconds = time.time() - begun
        detail = (
            f"{known:,} known after {seconds:.0f} s; all connected after {connected:.0f} s, "
            f"{brokers} Mosquitto"
        )
        yield _row(f"known to the service, of {devices:,} connected", known, devices, detail)
        yield from _wave(fleet, world, devices)


def _brokers(stack: contextlib.ExitStack, folder: Path, number: int) -> Iterator[Shipped]:
    bridge = ""
    for index in range(number):
        place = folder / f"broker-{index}"
        place.mkdir()
        extra = bridge.replace("clientid bridge", f"clientid bridge-{index}")
        broker = stack.enter_context(shipped(place, extra, QUEUE))
        bridge = bridge or _bridge(broker.port)
        yield broker


def _bridge(port: int) -> str:
    lines = ["connection first", f"address 127.0.0.1:{port}", "clientid bridge"]
    lines += ["cleansession true", "notifications false"]
    lines += [f"topic {topics.under(FLEET, kind, '#')} in 1" for kind in DOWN]
    lines += [f"topic {topics.under(FLEET, kind, '#')} out 1" for kind in UP]
    return "\n".join(lines) + "\n"


def _wave(fleet: Fleet, world: World, devices: int) -> Iterator[Row]:
    fleet.tell("answer")
    fleet.begin_round()
    rollout = world.start(1, quick(100, stage={"deadline_seconds": 3600}))
    opened = f"select at from events where rollout = {rollout} and kind = 'opened'"
    wait_until(lambda: scalar(world, opened))
    decided = float(scalar(world, opened))
    seconds = fleet.wait_served(devices) - decided
    detail = f"all have the order {seconds:.1f} s after it was decided"
    yield _row(f"served by a wave, of {devices:,} connected", fleet.served, devices, detail)
    succeeded = f"select count(*) from device_models where outcome = '{SUCCEEDED}'"
    stored = grown(world, succeeded, devices)
    detail = (
        f"{stored:,} stored {time.time() - decided:.0f} s after it was decided, in which each "
        f"update takes up to {UPDATE_SECONDS} s; the service knows "
        f"{scalar(world, 'select count(*) from devices'):,} devices at the end"
    )
    yield _row(f"answers stored, of {devices:,} connected", stored, devices, detail)


def _row(what: str, found: int, devices: int, detail: str) -> Row:
    return Row(what, found / devices, 1, "of all", detail, more_is_better=True)


if __name__ == "__main__":
    for row in rows(True, *map(int, sys.argv[1:])):
        print(f"{row.text} {row.detail}", flush=True)
