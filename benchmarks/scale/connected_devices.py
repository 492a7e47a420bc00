"""A process with a connection to the broker for each of many devices, for measurements.

    python -m benchmarks.scale.connected_devices PORT DEVICES [FIRST]

Each connection does what an agent's does, packet by packet (presence, subscriptions, report;
the report comes back; pauses before a new connection). Of an order it reads the number and the
manifest, and verifies nothing.

Lines on stdin:

    round     begins to count who is served
    expect N  of this round
    answer    from now on each device answers SUCCEEDED to its orders, also to those that it has
    hold      no more

Lines on stdout, JSON with the time in Unix seconds:

    {"what": "ready", "at": …}    all devices are connected, subscribed and have reported; said anew
                                  after each time that it was not so
    {"what": "served", "at": …}   the N devices have had an order, or a message of a measurement
                                  alone, on bare/SLOT
"""

import asyncio
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2] / "tests" / "controller"))

from rollout_world import FLEET, TARGET, Device

from modelwave_agent.board import mqtt_packets as packets
from modelwave_agent.runner import JITTER, RECONNECT_SECONDS, STEADY_SECONDS
from modelwave_shared import documents, dsse, slots, topics, words

KEEPALIVE_SECONDS = 30
MODEL = "digits"
CONNECTING = 200  # at a time: the system's queue for new connections is finite
BARE = "bare/%d"  # the topic of a slot for messages of a measurement alone


class Counter:
    """What all devices together have reached."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.ready = 0
        self.answering = False
        self.served: set[str] = set()
        self.times: list[float] = []
        self.wanted = 0
        self.orders: dict[bytes, dict[str, Any]] = {}
        self.connecting = asyncio.Semaphore(CONNECTING)

    def order(self, payload: bytes) -> dict[str, Any]:
        """Returns the order in a message; the devices of a slot get the same bytes."""
        found = self.orders.get(payload)
        if found is None:
            envelope = dsse.read(payload.split(b"\n")[0])
            found = self.orders[payload] = documents.read(words.ORDER, envelope.payload)
        return found

    def serve(self, device: str) -> None:
        if device not in self.served:
            self.served.add(device)
            self.times.append(time.time())
            if len(self.times) == self.wanted:
                say("served", self.times[-1])

    def begin(self) -> None:
        self.served.clear()
        self.times.clear()
        self.wanted = 0

    def expect(self, wanted: int) -> None:
        self.wanted = wanted
        if len(self.times) >= wanted:
            say("served", self.times[wanted - 1])

    def change(self, ready: int) -> None:
        self.ready += ready
        if ready > 0 and self.ready == self.number:
            say("ready", time.time())


class Connection(asyncio.Protocol):
    """One connection of a device. `step` is the number of its packets that were answered."""

    def __init__(self, device: Device, counter: Counter) -> None:
        self.device = device
        self.counter = counter
        self.over = asyncio.get_running_loop().create_future()
        self.slot = slots.slot(FLEET, device.name)
        self.ready = False
        self.newest: dict[str, Any] | None = None  # order
        self._step = 0
        self._number = 0
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        will = topics.presence(FLEET, self.device.name)
        name = self.device.name
        transport.write(packets.connect(name, "", "", will, b"offline", KEEPALIVE_SECONDS))

    def connection_lost(self, _error: Exception | None) -> None:
        if self.ready:
            self.ready = False
            self.counter.change(-1)
        if not self.over.done():
            self.over.set_result(None)

    def data_received(self, data: bytes) -> None:
        data, at = self._rest + data, 0
        while True:
            size, shift, body = 0, 0, at + 1
            while body < len(data):
                byte = data[body]
                size |= (byte & 0x7F) << shift
                shift, body = shift + 7, body + 1
                if byte < 0x80:
                    break
            else:
                break
            if body + size > len(data):
                break
            self._take(data[at], data[body : body + size])
            at = body + size
        self._rest = data[at:]

    def ping(self) -> None:
        self.transport.write(packets.PINGREQ)

    def answer(self) -> None:
        """Answers the newest order, if it was not answered."""
        if self.newest is not None and self.device.models[MODEL]["outcome"] != "SUCCEEDED":
            self.device.take(self.newest, "SUCCEEDED")
            self._report()

    def _take(self, kind: int, body: bytes) -> None:
        if kind & packets.TYPE_MASK == packets.PUBLISH:
            end = 2 + int.from_bytes(body[:2], "big")
            topic, payload = body[2:end].decode(), body[end:]
            if kind & packets.QOS_1:
                self.transport.write(packets.puback(int.from_bytes(payload[:2], "big")))
                payload = payload[2:]
            if payload:
                self._hear(topic, payload)
        elif kind != packets.PINGRESP and not self.ready:
            if kind == packets.CONNACK and body[1]:
                self.transport.abort()
                return
            self._step += 1
            self._go_on()

    def _go_on(self) -> None:
        name = self.device.name
        if self._step == 1:
            self._publish(topics.presence(FLEET, name), b"online")
        elif self._step == 2:
            target = self.device.target
            wanted = [
                topics.root(FLEET, 2),
                topics.desired_slot(FLEET, target, MODEL, self.slot),
                topics.desired_all(FLEET, target, MODEL),
                topics.desired_device(FLEET, name, MODEL),
                topics.heartbeat(FLEET, name),
                topics.reported(FLEET, name),
                BARE % self.slot,
            ]
            self.transport.write(packets.subscribe(wanted, self._next()))
        elif self._step == 3:
            self._report()
        elif self._step == 4:
            self.ready = True
            self.counter.change(1)

    def _hear(self, topic: str, payload: bytes) -> None:
        if "/desired/" in topic:
            order, held = self.counter.order(payload), self.device.models[MODEL]["seq"]
            if order["seq"] >= held:
                self.counter.serve(self.device.name)
            if order["seq"] <= held:
                return
            self.newest = order
            self.device.take(order, "SUCCEEDED" if self.counter.answering else "")
            if self.counter.answering:
                self._report()
        elif topic.startswith("bare/"):
            self.counter.serve(self.device.name)

    def _report(self) -> None:
        self._publish(topics.reported(FLEET, self.device.name), self.device.report())

    def _publish(self, topic: str, payload: bytes) -> None:
        self.transport.write(packets.publish(topic, payload, True, self._next()))

    def _next(self) -> int:
        self._number = self._number % packets.MAX_PACKET_ID + 1
        return self._number


class Kept:
    """Keeps a device connected, with the pauses of an agent."""

    def __init__(self, port: int, device: Device, counter: Counter) -> None:
        self.port = port
        self.device = device
        self.counter = counter
        self.connection: Connection | None = None

    async def run(self) -> None:
        failures = 0
        while True:
            begun = time.monotonic()
            try:
                async with self.counter.connecting:
                    await self._connect()
                assert self.connection is not None
                await self.connection.over
            except OSError:
                pass
            lasted = time.monotonic() - begun
            failures = 0 if lasted > STEADY_SECONDS else failures + 1
            pause = RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)]
            await asyncio.sleep(pause * (1 + JITTER * (2 * random.random() - 1)))

    async def _connect(self) -> None:
        def make() -> Connection:
            return Connection(self.device, self.counter)

        loop = asyncio.get_running_loop()
        _, self.connection = await loop.create_connection(make, "127.0.0.1", self.port)


def say(what: str, at: float) -> None:
    print(json.dumps({"what": what, "at": at}), flush=True)


async def main(port: int, number: int, first: int) -> None:
    counter = Counter(number)
    devices = [Device(f"d{first + index}", TARGET) for index in range(number)]
    kept = [Kept(port, device, counter) for device in devices]
    tasks = [asyncio.create_task(one.run()) for one in kept]
    tasks.append(asyncio.create_task(_ping(kept)))
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        if line == b"round\n":
            counter.begin()
        elif line.startswith(b"expect "):
            counter.expect(int(line[7:]))
        elif line == b"answer\n":
            counter.answering = True
            for one in kept:
                if one.connection is not None and one.connection.ready:
                    one.connection.answer()
        elif line == b"hold\n":
            counter.answering = False
    for task in tasks:
        task.cancel()


async def _ping(kept: list[Kept]) -> None:
    while True:
        await asyncio.sleep(KEEPALIVE_SECONDS * 0.6)
        for one in kept:
            if one.connection is not None and one.connection.ready:
                one.connection.ping()


if __name__ == "__main__":
    asyncio.run(main(*map(int, [*sys.argv[1:], "0"][:3])))
