"""A wave to a whole fleet, from the tick that decides it until the last device has its order,
beside a bare client.

The client publishes as many messages of the same size to the same devices on the same broker. Each
device has a connection of its own. The wave is a stage of 99 %: an order for all slots
is one message."""

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

import paho.mqtt.client as mqtt
from benchmarks.scale.connected_devices import BARE
from benchmarks.scale.fleet import (
    Fleet,
    World,
    all_sent,
    at,
    fleet_and_service,
    row,
    scalar,
    wait_until,
)
from benchmarks.scale.row import Row
from benchmarks.scale.shipped import shipped
from paho.mqtt.enums import CallbackAPIVersion
from rollout_world import FLEET, quick  # fleet.py has put it on the path

from modelwave_controller.rollout.state import FINISHED
from modelwave_controller.service.connection import no_delay
from modelwave_shared import slots

SAMPLES = 5
GOALS = {1000: 1.5, 5000: 1.2, 10_000: 1.1}
PERCENT = 99  # of the slots, in the stage that is timed


class Wave(NamedTuple):
    """`topics` are those of a bare client for the same devices."""

    seconds: float
    devices: int
    topics: list[str]


def rows(long: bool) -> Iterator[Row]:
    for number in GOALS if long else [1000, 5000]:
        with (
            tempfile.TemporaryDirectory() as name,
            shipped(Path(name)) as broker,
            fleet_and_service(Path(name), broker.port, at(broker.port, number)) as (fleet, world),
        ):
            yield _measured(fleet, world, broker.port, number)


def _measured(fleet: Fleet, world: World, port: int, number: int) -> Row:
    used = {slots.slot(FLEET, f"d{index}") for index in range(number)}
    waves: list[Wave] = []
    bare: list[float] = []
    for sample in range(SAMPLES):
        waves.append(_wave(fleet, world, sample + 1, used))
        size = scalar(world, "select max(length(data)) from blobs")
        bare.append(_published(fleet, port, waves[-1], bytes(size)))
    ours = [wave.seconds for wave in waves]
    detail = (
        f"{median(ours):.3f} s, bare {median(bare):.3f} s, medians of {SAMPLES}"
        f" ({_listed(ours)}; bare {_listed(bare)}; {len(waves[-1].topics)} messages)"
    )
    figure = median(ours) / median(bare)
    return Row(f"wave to {number:,} devices / a bare client", figure, GOALS[number], "×", detail)


def _listed(seconds: list[float]) -> str:
    return " ".join(f"{one:.2f}" for one in seconds)


def _wave(fleet: Fleet, world: World, release: int, used: set[int]) -> Wave:
    """Orders a release, and takes the time of the first stage. Then the devices answer, and the
    rollout ends."""
    fleet.tell("hold")
    fleet.begin_round()
    rollout = world.start(release, quick(PERCENT, 100))
    query = f"select at, body from events where rollout = {rollout} and kind = 'opened'"
    wait_until(lambda: row(world, query))
    decided, body = row(world, query)
    orders = json.loads(body)["orders"]
    devices = sum(order["known"] for order in orders)
    seconds = fleet.wait_served(devices) - decided
    opened = [
        slot for order in orders for one, end in order["slots"] for slot in range(one, end + 1)
    ]
    fleet.tell("answer")
    wait_until(lambda: world.state().rollouts[rollout].status == FINISHED)
    wait_until(lambda: all_sent(world))
    fleet.wait_quiet()  # what the last messages cause is over
    return Wave(seconds, devices, [BARE % slot for slot in opened if slot in used])


def _published(fleet: Fleet, port: int, wave: Wave, payload: bytes) -> float:
    """Returns the seconds of a bare client for the same."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
    connected = threading.Event()
    client.on_connect = lambda *_: connected.set()
    client.on_socket_open = no_delay
    client.max_inflight_messages_set(65535)
    client.connect("127.0.0.1", port)
    client.loop_start()
    connected.wait()
    fleet.begin_round()
    begun = time.time()
    for topic in wave.topics:
        client.publish(topic, payload, 1, True)
    seconds = fleet.wait_served(wave.devices) - begun
    client.disconnect()
    client.loop_stop()
    fleet.wait_quiet()
    return seconds
