"""A process of simulated devices: `python -m modelwave_controller.load.worker`.

Its parent (processes.py) writes one line to its stdin, the Work as JSON, and closes stdin to end
it; so it ends with its parent, however that ended. Each second it prints its Tally as one line of
JSON, and at last, when its devices are gone from the broker, the last one.
"""

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from modelwave_controller import descriptors
from modelwave_controller.load import tally
from modelwave_controller.load.connection import User
from modelwave_controller.load.device import Behaviour, SimulatedDevice
from modelwave_controller.load.fleet import Fleet, Place
from modelwave_controller.load.gateway import SimulatedGateway, Turns
from modelwave_controller.load.observing import NOTHING, Observing
from modelwave_shared.authorities import Authorities

TELL_SECONDS = 1
MAX_LINE_BYTES = 2**20

AnyFleet = TypeVar("AnyFleet", bound=Fleet)


@dataclass(frozen=True)
class Work:
    """What the process does. `tls`: None, or the arguments of Authorities. The devices are named
    `prefix` and a number, from `first` on. So many `gateways` speak for them, which are named
    `prefix`, "gw-" and a number, from `first_gateway` on. `observing`, `turns`: the arguments of
    Observing and Turns."""

    host: str
    port: int
    tls: list[str] | None
    user: str
    password: str
    source: str
    root: dict[str, Any]
    fleet: str
    target: str
    model: str
    prefix: str
    first: int
    devices: int
    update_seconds: float
    rolled_back: float
    report_seconds: float
    observing: tuple[float, int, int] = NOTHING
    gateways: int = 0
    first_gateway: int = 0
    turns: tuple[float, float] = (0, 0)

    def line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"


def fleet_of(work: Work, kind: type[AnyFleet]) -> AnyFleet:
    """Returns the fleet, which runs when it is given its devices."""
    descriptors.allow(work.devices)
    context = Authorities(*work.tls).context() if work.tls is not None else None
    place = Place(work.host, work.port, context, User(work.user, work.password), work.source)
    observing, turns = Observing(*work.observing), Turns(*work.turns)
    behaviour = Behaviour(work.update_seconds, work.rolled_back, observing, turns)
    return kind(place, work.root, behaviour, work.report_seconds)


def devices_of(work: Work, kind: type[SimulatedDevice]) -> Iterator[SimulatedDevice]:
    boot = int(time.time())  # greater than that of a simulation before
    for index in range(work.devices):
        name = f"{work.prefix}{work.first + index}"
        via = _gateway(work, index % work.gateways) if work.gateways else ""
        yield kind(work.fleet, name, work.target, work.model, boot, via)


def gateways_of(work: Work) -> Iterator[SimulatedGateway]:
    for index in range(work.gateways):
        yield SimulatedGateway(work.fleet, _gateway(work, index))


def _gateway(work: Work, index: int) -> str:
    return f"{work.prefix}gw-{work.first_gateway + index}"


async def run(work: Work, reader: asyncio.StreamReader) -> None:
    fleet = fleet_of(work, Fleet)
    running = asyncio.create_task(fleet.run(devices_of(work, SimulatedDevice), gateways_of(work)))
    telling = asyncio.create_task(_tell(fleet))
    await reader.read()  # until the parent closes it
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    telling.cancel()
    _say(fleet)


async def _tell(fleet: Fleet) -> None:
    while True:
        _say(fleet)
        await asyncio.sleep(TELL_SECONDS)


def _say(fleet: Fleet) -> None:
    print(json.dumps(tally.written(fleet.tally)), flush=True)


async def main() -> None:
    reader = asyncio.StreamReader(MAX_LINE_BYTES)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    line = await reader.readline()
    if line:
        await run(Work(**json.loads(line)), reader)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this
    with contextlib.suppress(BrokenPipeError):  # the parent was killed
        asyncio.run(main())
