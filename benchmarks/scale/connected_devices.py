"""A process of the fleet of a measurement: the devices of `modelwave simulate fleet`, which tell
when each of them has its order, and answer when they are told to.

    python -m benchmarks.scale.connected_devices

The first line on stdin is the Work of load/worker.py, as JSON; each further one is a word:

    round     begins the next round, which counts anew who is served
    answer    from now on the devices answer their orders, also those that they have
    hold      no more: an order that comes is looked at when they answer, as it takes a simulated
              device time that it would take a device of its own

Lines on stdout are JSON, as soon as something has changed, but not all of it:

    {"ready": N, "ready_at": …, "round": R, "served": M, "served_at": …}

N devices are connected, subscribed and have reported; M have had an order in this round, perhaps
again, or a message of a measurement alone, on bare/SLOT. The times are those of the newest of them,
in Unix seconds.
"""

import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from modelwave_controller.load.connection import Connection
from modelwave_controller.load.device import SimulatedDevice
from modelwave_controller.load.fleet import Fleet
from modelwave_controller.load.worker import MAX_LINE_BYTES, Work, devices_of, fleet_of
from modelwave_shared.slots import slot

BARE = "bare/%d"  # the topic of a slot for messages of a measurement alone
TELL_SECONDS = 0.05


class Device(SimulatedDevice):
    def filters(self) -> list[str]:
        return [*super().filters(), BARE % slot(self.fleet, self.name)]


class Measured(Fleet):
    """Counts who is ready and who is served; `held` is what waits for `answer`."""

    ready_at = served_at = 0.0
    answering = False
    round = 0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.served: set[str] = set()
        self.held: deque[Callable[[], None]] = deque()

    def stands(self, connection: Connection) -> None:
        super().stands(connection)
        self.ready_at = time.time()

    def hear(self, connection: Connection, topic: str, payload: bytes) -> None:
        device = connection.device
        if device.name not in self.served and self._serves(device, topic, payload):
            self.served.add(device.name)
            self.served_at = time.time()
        self._do(partial(super().hear, connection, topic, payload))

    def _serves(self, device: SimulatedDevice, topic: str, payload: bytes) -> bool:
        if "/desired/" not in topic:
            return topic.startswith("bare/")
        signed = self.signed(payload) if payload else None
        return bool(signed) and (signed[0]["epoch"], signed[0]["seq"]) >= device.number

    def report(self, connection: Connection) -> None:
        if self.answering:
            super().report(connection)

    def end_update(
        self, connection: Connection, order: dict[str, Any], manifest: dict[str, Any]
    ) -> None:
        self._do(partial(super().end_update, connection, order, manifest))

    def _do(self, work: Callable[[], None]) -> None:
        if self.answering:
            work()
        else:
            self.held.append(work)

    def take(self, word: str) -> None:
        if word == "round":
            self.round += 1
            self.served.clear()
        else:
            self.answering = word == "answer"
        while self.answering and self.held:
            self.held.popleft()()

    def said(self) -> str:
        counts = {"ready": self.tally.connected, "round": self.round, "served": len(self.served)}
        return json.dumps(counts | {"ready_at": self.ready_at, "served_at": self.served_at})


async def main() -> None:
    reader = asyncio.StreamReader(MAX_LINE_BYTES)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    work = Work(**json.loads(await reader.readline()))
    fleet = fleet_of(work, Measured)
    running = asyncio.create_task(fleet.run(devices_of(work, Device)))
    telling = asyncio.create_task(_tell(fleet))
    while word := await reader.readline():
        fleet.take(word.decode().strip())
    running.cancel()
    telling.cancel()


async def _tell(fleet: Measured) -> None:
    told = ""
    while True:
        if (said := fleet.said()) != told:
            print(said, flush=True)
            told = said
        await asyncio.sleep(TELL_SECONDS)


if __name__ == "__main__":
    asyncio.run(main())
