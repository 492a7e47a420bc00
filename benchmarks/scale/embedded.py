"""A wave through the embedded broker: an order to each slot, at QoS 1 and retained, to devices that
are all connected to a `modelwave broker` in a process of its own.

A device of this measurement does what an agent does with the broker: it subscribes to its slot's
topic, its own and that of all, and answers an order with a report, retained and at QoS 1. The wave
begins with the first order and ends when the controller has all reports. The best of RUNS counts,
and the seconds of a core that the broker took for it are said: they do not depend on what else the
machine does, and show how the cost grows with the fleet.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.scale.row import Row

from modelwave_controller.broker import packets

SLOTS = 1000
ORDER = b"o" * 3000  # an order and a manifest, in their envelopes
REPORT = b"r" * 600
GOAL_SECONDS = 1.0
RUNS = 3
ROOT = "modelwave/1/scale"
TARGET = "linux-cpu"


class Client(asyncio.Protocol):
    """Connects, subscribes, and hands out what it receives."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.subscribed = asyncio.get_running_loop().create_future()
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.subscribed.done():
            self.subscribed.set_exception(ConnectionError("the broker ended a connection"))

    def begin(self, name: str, filters: list[str]) -> None:
        asked = b"".join(_text(one) + b"\1" for one in filters)
        self._send(0x10, _text("MQTT") + b"\4\2\0\0" + _text(name))
        self._send(0x82, b"\0\1" + asked)

    def publish(self, topic: str, payload: bytes, packet_id: int) -> None:
        self.transport.write(packets.publish(topic.encode(), payload, packet_id, retain=True))

    def heard(self, topic: str) -> None:
        """A message on this topic has come."""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        at = 0
        while True:
            head = packets.next_head(self._buffer, at, 2**20)
            if head is None or head.end > len(self._buffer):
                break
            at = head.end
            self._take(head, bytes(self._buffer[head.start : head.end]))
        del self._buffer[:at]

    def _take(self, head: packets.Head, body: bytes) -> None:
        if head.kind == packets.SUBACK:
            self.subscribed.set_result(None)
        elif head.kind == packets.PUBLISH:
            found = packets.read_publish(head.flags, body)
            if found.qos:
                self.transport.write(packets.acknowledgement(packets.PUBACK, found.packet_id))
            self.heard(found.topic)

    def _send(self, first: int, body: bytes) -> None:
        length, digits = len(body), bytearray()
        while length or not digits:
            length, digit = divmod(length, 128)
            digits.append(digit | (0x80 if length else 0))
        self.transport.write(bytes((first,)) + digits + body)


class Device(Client):
    """Answers each order with a report."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.name = f"device-{number}"
        slot, own = f"desired/{TARGET}/m/{number % SLOTS}", f"desired/device/{self.name}/m"
        filters = [slot, own, f"desired/{TARGET}/m/all", "root/+", f"heartbeat/{self.name}"]
        self.filters = [f"{ROOT}/{one}" for one in filters]

    def heard(self, topic: str) -> None:
        self.publish(f"{ROOT}/reported/{self.name}", REPORT, 1)


class Controller(Client):
    def __init__(self, devices: int) -> None:
        super().__init__()
        self.missing = devices
        self.complete = asyncio.get_running_loop().create_future()

    def heard(self, topic: str) -> None:
        self.missing -= 1
        if not self.missing:
            self.complete.set_result(None)


class Wave(NamedTuple):
    seconds: float
    core_seconds: float  # of the broker


def rows(long: bool) -> Iterator[Row]:
    found = {devices: best_wave(devices) for devices in (200, 1000, 2000)}
    said = (
        f"{devices} devices {wave.seconds:.2f} s, {wave.core_seconds:.2f} s of a core"
        for devices, wave in found.items()
    )
    what = "embedded broker, wave at 1,000 devices"
    yield Row(what, found[1000].seconds, GOAL_SECONDS, "s", "; ".join(said))


def best_wave(devices: int) -> Wave:
    waves = []
    for _ in range(RUNS):
        with broker() as (port, process_id):
            waves.append(asyncio.run(_wave(port, process_id, devices)))
    return min(waves)


@contextmanager
def broker() -> Iterator[tuple[int, int]]:
    """The port and the process id of a `modelwave broker`."""
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.json"
        command = [sys.executable, "-m", "modelwave_controller", "broker", "--port", "0"]
        process = subprocess.Popen(
            [*command, "--ready-file", str(ready)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while not ready.exists():
                if process.poll() is not None:
                    raise RuntimeError("the broker did not start")
                time.sleep(0.05)
            yield json.loads(ready.read_text())["port"], process.pid
        finally:
            process.terminate()
            process.wait()


async def _wave(port: int, process_id: int, devices: int) -> Wave:
    loop = asyncio.get_running_loop()
    fleet: list[Device] = []
    for number in range(devices):
        _, device = await loop.create_connection(lambda n=number: Device(n), "127.0.0.1", port)
        fleet.append(device)
        device.begin(device.name, device.filters)
    _, controller = await loop.create_connection(lambda: Controller(devices), "127.0.0.1", port)
    controller.begin("modelwave/scale", [f"{ROOT}/reported/+"])
    await asyncio.gather(*(client.subscribed for client in [*fleet, controller]))
    begun, core_begun = loop.time(), _core_seconds(process_id)
    for slot in range(min(SLOTS, devices)):
        controller.publish(f"{ROOT}/desired/{TARGET}/m/{slot}", ORDER, slot + 1)
    await controller.complete
    wave = Wave(loop.time() - begun, _core_seconds(process_id) - core_begun)
    for client in [*fleet, controller]:
        client.transport.abort()
    return wave


def _core_seconds(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _text(value: str) -> bytes:
    data = value.encode()
    return len(data).to_bytes(2, "big") + data
