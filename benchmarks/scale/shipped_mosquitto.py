"""The shipped Mosquitto file: what a retained publish costs as the retained messages grow, and a
rollout to a whole fleet.

Then the broker is ended, and killed, under an open rollout: how soon is the fleet back?"""

import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import paho.mqtt.client as mqtt
from benchmarks.scale.fleet import Fleet, World, at, ended, fleet_and_service, scalar, wait_until
from benchmarks.scale.row import Row
from benchmarks.scale.shipped import Shipped, shipped
from paho.mqtt.enums import CallbackAPIVersion
from rollout_world import quick  # fleet.py has put it on the path

from modelwave_controller.service.connection import no_delay

RETAINED = 20_000
PUBLISHED = 2000  # timed, at once
RUNS = 5
PAYLOAD = bytes(800)  # a report
GOAL_SECONDS = 15


def rows(long: bool) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name, shipped(Path(name)) as broker:
        yield _retained(broker.port)
    number = 10_000 if long else 2000
    with (
        tempfile.TemporaryDirectory() as name,
        shipped(Path(name)) as broker,
        fleet_and_service(Path(name), broker.port, at(broker.port, number)) as (fleet, world),
    ):
        yield _rollout(fleet, world, number)
        for release, how in ((2, signal.SIGTERM), (3, signal.SIGKILL)):
            yield _storm(fleet, world, broker, release, how, number)


def _retained(port: int) -> Row:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
    connected = threading.Event()
    client.on_connect = lambda *_: connected.set()
    client.on_socket_open = no_delay
    client.max_inflight_messages_set(1000)
    client.connect("127.0.0.1", port)
    client.loop_start()
    connected.wait()
    empty = _published(client, PUBLISHED)
    _publish(client, RETAINED)
    full = _published(client, PUBLISHED)
    client.disconnect()
    client.loop_stop()
    detail = f"{1e6 * full:.0f} µs, at the beginning {1e6 * empty:.0f} µs"
    return Row(f"publish at {RETAINED:,} retained / at 0", full / empty, 1.5, "×", detail)


def _published(client: mqtt.Client, number: int) -> float:
    """Returns the seconds of one publish."""
    return median(_publish(client, number) for _ in range(RUNS)) / number


def _publish(client: mqtt.Client, number: int) -> float:
    begun = time.monotonic()
    sent = [client.publish(f"measured/{index}", PAYLOAD, 1, True) for index in range(number)]
    for one in sent:
        one.wait_for_publish(60)
    return time.monotonic() - begun


def _rollout(fleet: Fleet, world: World, number: int) -> Row:
    fleet.tell("answer")
    begun = time.time()
    seconds = ended(world, world.start(1, quick())) - begun
    detail = f"{seconds:.1f} s, three stages, each device answers"
    return Row(f"rollout to {number:,} devices, shipped file", seconds, GOAL_SECONDS, "s", detail)


def _storm(
    fleet: Fleet, world: World, broker: Shipped, release: int, how: signal.Signals, number: int
) -> Row:
    """Ends the broker while all devices hold an order that they have not answered. It is over when
    all are connected again, have their order, and count as online. (Of those that come back before
    the service does it hears nothing new: they have counted as online all the time.)"""
    fleet.tell("hold")
    fleet.begin_round()
    rollout = world.start(release, quick(100, stage={"deadline_seconds": 3600}))
    fleet.wait_served(number)
    broker.stop(how)
    fleet.begin_round()
    away = time.time()
    broker.start()
    listening = time.time()
    back = max(fleet.wait_served(number), fleet.wait_ready(away)) - listening
    wait_until(lambda: scalar(world, "select count(*) from presence where online") == number)
    known = time.time() - listening
    fleet.tell("answer")
    answered = ended(world, rollout) - listening
    detail = (
        f"all {number:,} have their order after {back:.1f} s and count as online after "
        f"{known:.1f} s; the rollout ends after {answered:.1f} s"
    )
    return Row(f"reconnect storm after {how.name}", max(back, known), GOAL_SECONDS, "s", detail)
