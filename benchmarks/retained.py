"""Counts the orders that the broker retains after a finished rollout, and measures how long devices
are without an answer after the broker has lost all of them.

    python -m benchmarks.retained [--devices 12,10000] [--targets 1]

A real Mosquitto without persistence, a real `modelwave serve`, and devices that share one
connection and answer at once (tests/controller/simulated_fleet.py). When the rollout is FINISHED
the broker is ended and started again, empty. The time runs from the moment at which it listens
again to the one at which it has an order for each device, on one of the topics that the device
reads; most of it is the controller's pause before it connects again. All devices send their reports
meanwhile."""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

sys.path.append(str(Path(__file__).parents[1] / "tests" / "controller"))

from rollout_world import FLEET, Device, World, quick
from simulated_fleet import SimulatedFleet, free_port, mosquitto
from test_service import known, running, statuses

from modelwave_controller.rollout.state import FINISHED
from modelwave_shared import slots, topics

LIMIT_SECONDS = 600
COUNT_SECONDS = 2  # without another retained message: that was all


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", default="12,10000", metavar="N,N")
    parser.add_argument("--targets", type=int, default=1, help="the devices are spread over them")
    options = parser.parse_args()
    print(
        "| devices | retained orders | all retained messages"
        " | seconds until the broker has an order for each device again |"
    )
    print("| ---: | ---: | ---: | ---: |")
    for devices in options.devices.split(","):
        orders, retained, seconds = measure(int(devices), options.targets)
        print(f"| {int(devices):,} | {orders:,} | {retained:,} | {seconds:.1f} |", flush=True)
    return 0


def measure(number: int, targets: int) -> tuple[int, int, float]:
    """Returns (retained orders, retained messages, seconds until each device has an order)."""
    names = [f"target-{index}" for index in range(targets)]
    devices = [Device(f"d{index}", names[index % targets]) for index in range(number)]
    port = free_port()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        with mosquitto(folder, port=port):
            world = stack.enter_context(closing(World(folder, broker_port=port)))
            stack.enter_context(running(folder, world.home.path, "serve"))
            fleet = SimulatedFleet(port, devices, lambda *_: "SUCCEEDED")
            stack.enter_context(closing(fleet))
            _wait(lambda: known(world) == number)
            world.start(1, quick(), names)
            _wait(lambda: statuses(world) == [FINISHED])
            found = _retained(port)
        with mosquitto(folder, port=port):
            since = time.monotonic()
            seconds = _answered(port, devices) - since
    return len([topic for topic in found if "/desired/" in topic]), len(found), seconds


def _retained(port: int) -> set[str]:
    """Returns the topics with a retained message."""
    found: set[str] = set()
    last = [time.monotonic()]

    def heard(topic: str, is_retained: bool) -> None:
        if is_retained:
            found.add(topic)
            last[0] = time.monotonic()

    with _subscribed(port, topics.under(FLEET, "#"), heard):
        _wait(lambda: time.monotonic() - last[0] > COUNT_SECONDS)
    return found


def _answered(port: int, devices: list[Device]) -> float:
    """Returns when the broker had an order for each of `devices`, by the monotonic clock."""
    start = topics.under(FLEET, "desired", "")
    ways = [
        {
            f"{start}{device.target}/digits/{slots.slot(FLEET, device.name)}",
            f"{start}{device.target}/digits/all",
            f"{start}device/{device.name}/digits",
        }
        for device in devices
    ]
    found: set[str] = set()
    when = [0.0]

    def heard(topic: str, _is_retained: bool) -> None:
        found.add(topic)
        when[0] = time.monotonic()

    with _subscribed(port, start + "#", heard):
        _wait(lambda: all(any(topic in found for topic in way) for way in ways))
    return when[0]


@contextmanager
def _subscribed(port: int, wanted: str, heard: Callable[[str, bool], None]) -> Iterator[None]:
    """Calls `heard` with topic and retain flag of each message that has contents."""

    def on_message(_client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        if message.payload:
            heard(message.topic, message.retain)

    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
    client.on_connect = lambda *_: client.subscribe(wanted, 1)
    client.on_message = on_message
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        yield
    finally:
        client.disconnect()
        client.loop_stop()


def _wait(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    end = time.monotonic() + LIMIT_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("what was waited for did not come")
        pause.wait(0.02)


if __name__ == "__main__":
    sys.exit(main())
