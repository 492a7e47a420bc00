"""A process with boards behind a gateway: the agent's own core for each, over its end of a wire.

    python -m benchmarks.relay.boards

The first line on stdin is a Work as JSON; the process ends when stdin does. Lines on stdout are
JSON, each with the moment `at` of the machine's steady clock:

    {"board": "b1", "what": "reported", "at": …}
    {"board": "b1", "what": "asks SHA256", "at": …}     it asks for this file
    {"board": "b1", "what": SHA256, "at": …}            the file is whole
    {"board": "b1", "what": "SUCCEEDED", "at": …}       the outcome that the broker acknowledged
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from tests.board.programs import stand_in

from modelwave_agent import ports
from modelwave_agent.banks import Banks
from modelwave_agent.board.runtime import FunctionRuntime
from modelwave_agent.board.serial_fetcher import SerialFetcher
from modelwave_agent.board.serial_link import SerialLink
from modelwave_agent.host.clock import HostClock
from modelwave_agent.intake import Intake
from modelwave_agent.journal import Journal
from modelwave_agent.root_walk import RootWalk
from modelwave_agent.runner import Agent
from modelwave_agent.types import Enrolment
from modelwave_agent.update import Update
from modelwave_shared import documents

RAM_BYTES = 1_000_000


class Work(NamedTuple):
    """`wires`: the folder of wires.py; `state`: that of the boards; `root`: the envelope's file;
    `hosts`: where files may come from; `frames`: that a board takes at once."""

    boards: list[str]
    wires: str
    state: str
    root: str
    target: str
    model: str
    hosts: list[str]
    baud: int
    frames: int


class Wire:
    """The board's end of its wire."""

    def __init__(self, path: str) -> None:
        self.number = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self.came = asyncio.Event()
        asyncio.get_running_loop().add_reader(self.number, self.came.set)

    async def read(self, n: int) -> bytes:
        while True:
            self.came.clear()
            try:
                return os.read(self.number, n)
            except BlockingIOError:
                await self.came.wait()

    async def write(self, data: bytes) -> None:
        """A window of frames always has room."""
        os.write(self.number, data)


class Link(SerialLink):
    """Tells what the broker has acknowledged."""

    def __init__(self, name: str, model: str, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.name = name
        self.model = model
        self.told = ""

    async def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        await super().publish(topic, payload, retain)
        if "/reported/" in topic:
            what = json.loads(payload)["models"][self.model]["outcome"] or "reported"
            if what != self.told:
                tell(self.name, what)
                self.told = what


class Fetcher(SerialFetcher):
    """Tells which file is whole."""

    def __init__(self, name: str, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.name = name

    async def fetch(self, url: str, intake: Intake) -> None:
        tell(self.name, f"asks {intake.sha256}")
        await super().fetch(url, intake)
        tell(self.name, intake.sha256)


def tell(board: str, what: str) -> None:
    print(json.dumps({"board": board, "what": what, "at": time.monotonic()}), flush=True)


def agent_of(name: str, work: Work) -> Agent:
    folder = Path(work.state) / name
    folder.mkdir()
    root = documents.open_first_root(Path(work.root).read_bytes())
    enrolment, clock = Enrolment(name, work.target, root), HostClock()
    wire = Wire(f"{work.wires}/{name}.board")
    link = Link(name, work.model, wire, name, work.baud, work.frames, clock)
    fetcher = Fetcher(name, link, work.hosts)
    fetcher.enrolment = enrolment
    around = ports.Ports(
        Journal(str(folder), "journal"),
        Banks(str(folder)),
        FunctionRuntime(stand_in.load, ram=RAM_BYTES),
        fetcher,
        ports.Hooks(),
        clock,
    )
    updates = {work.model: Update(work.model, enrolment, around)}
    walk = RootWalk(enrolment, str(folder), clock, "")
    return Agent(enrolment, updates, link, clock, Journal(str(folder), "device"), walk)


async def main() -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    work = Work(**json.loads(await reader.readline()))
    running = [asyncio.create_task(agent_of(name, work).run()) for name in work.boards]
    ended = asyncio.create_task(reader.read())
    await asyncio.wait([ended, *running], return_when=asyncio.FIRST_COMPLETED)
    for task in running:
        if task.done():
            task.result()
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
