"""Devices on a real broker that answer orders at once; and a Mosquitto for them."""

import shutil
import socket
import subprocess
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from broker_hosts import embedded
from paho.mqtt.enums import CallbackAPIVersion
from rollout_world import FLEET, Device

from modelwave_shared import documents, dsse, slots, topics, words

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
HAS_MOSQUITTO = Path(MOSQUITTO).exists()
DEADLINE_SECONDS = 120

# (device, order) -> outcome; "" takes the order and never ends it.
Behaviour = Callable[[str, dict[str, Any]], str]


class SimulatedFleet:
    """All devices over one connection. `orders` is the newest order of each."""

    def __init__(self, port: int, devices: list[Device], behave: Behaviour) -> None:
        self.devices = {device.name: device for device in devices}
        self.behave = behave
        self._by_slot: dict[tuple[str, int], list[Device]] = defaultdict(list)
        for device in devices:
            self._by_slot[device.target, slots.slot(FLEET, device.name)].append(device)
        self.orders: dict[str, dict[str, Any]] = {}
        self.changed = threading.Condition()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def report(self, name: str) -> None:
        self._client.publish(
            topics.reported(FLEET, name), self.devices[name].report(), qos=1, retain=True
        )

    def publish(self, topic: str, payload: bytes) -> None:
        """Publishes what is not retained."""
        self._client.publish(topic, payload, qos=1)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, DEADLINE_SECONDS)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: mqtt.Client, *_: object) -> None:
        client.subscribe(topics.under(FLEET, "desired", "+", "+", "+"), 1)
        for name in self.devices:
            self.report(name)

    def _on_message(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        _, target, second, last = topics.parts(FLEET, message.topic)
        if not message.payload:
            return
        envelope = dsse.read(message.payload.split(b"\n")[0])
        order = documents.read(words.ORDER, envelope.payload)
        for device in self._readers(target, second, last):
            self._consider(device, order)

    def _readers(self, target: str, second: str, last: str) -> list[Device]:
        """Returns the devices that subscribe to desired/`target`/`second`/`last`."""
        if target == "device":
            return [self.devices[second]]
        if last == "all":
            return [device for device in self.devices.values() if device.target == target]
        return self._by_slot[target, int(last)]

    def _consider(self, device: Device, order: dict[str, Any]) -> None:
        with self.changed:
            floor = self.orders.get(device.name, {"seq": 0})["seq"]
            if order["seq"] <= floor:
                return
            self.orders[device.name] = order
            for outcome in dict.fromkeys(("", self.behave(device.name, order))):
                device.take(order, outcome)
                self.report(device.name)
            self.changed.notify_all()


@contextmanager
def any_broker(folder: Path) -> Iterator[int]:
    """Yields the port of a Mosquitto, or of our own broker if there is none."""
    if HAS_MOSQUITTO:
        with mosquitto(folder) as port:
            yield port
    else:
        with embedded() as host:
            yield host.port


@contextmanager
def mosquitto(folder: Path, settings: str = "", port: int = 0, queued: int = 0) -> Iterator[int]:
    """The port of a Mosquitto on loopback, which ends with the block. `settings` are lines
    for its listener, `queued` the messages that it queues for a client, 0 for any number."""
    port = port or free_port()
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\n{settings}"
        "allow_anonymous true\n"
        "user root\n"  # if we are: it must read what pytest keeps from others
        f"max_queued_messages {queued}\n"
        "set_tcp_nodelay true\n"
    )
    process = subprocess.Popen(
        [MOSQUITTO, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_listening(process, port)
        yield port
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_listening(process: subprocess.Popen[bytes], port: int) -> None:
    pause = threading.Event()
    for _ in range(DEADLINE_SECONDS * 50):
        assert process.poll() is None, "Mosquitto did not start"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        pause.wait(0.02)
    raise AssertionError("Mosquitto does not listen")


def retained_orders(port: int) -> dict[str, dict[str, Any]]:
    """{topic: order} of every order that the broker has for whoever comes."""
    return {
        topic: documents.read(words.ORDER, dsse.read(payload.split(b"\n")[0]).payload)
        for topic, payload in retained(port, "desired", "+", "+", "+").items()
    }


def retained(port: int, *parts: str) -> dict[str, bytes]:
    """{topic: payload} of what the broker retains under these parts of the fleet's topics."""
    found: dict[str, bytes] = {}
    complete = threading.Event()
    end = topics.under(FLEET, "end-of-retained")

    def on_message(_client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        if message.topic == end:
            complete.set()
        elif message.payload:
            found[message.topic] = message.payload

    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
    client.on_message = on_message
    # The retained messages come first: ours is published once the subscription stands.
    client.on_subscribe = lambda *_: client.publish(end, b"x", 1)
    client.on_connect = lambda *_: client.subscribe([(topics.under(FLEET, *parts), 1), (end, 1)])
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert complete.wait(DEADLINE_SECONDS)
    client.disconnect()
    client.loop_stop()
    return found


def poll(condition: Callable[[], bool]) -> None:
    """Waits for the work of another process, with a long timeout that only a failing test
    reaches."""
    pause = threading.Event()
    for _ in range(DEADLINE_SECONDS * 20):
        if condition():
            return
        pause.wait(0.05)
    raise AssertionError("what was waited for did not come")
