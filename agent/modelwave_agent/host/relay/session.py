"""One session of a board: what it asks for is done at the broker, in its name.

    the board says      the gateway
    ------------------  ------------------------------------------------------------------------
    CONNECT             connects as this board, with its will; the answer is the broker's
    SUBSCRIBE, PUBLISH  does it, if the board may (topics_of.py); the answer is the broker's
    CLOSE               disconnects in order: no will
    FETCH, STOP         sends a file, or no more of it (downloads.py)

What the broker sends on topics that the board has subscribed to is passed on as it is. The payloads
are never read. When the session ends, for whatever reason, the connection to the broker is broken,
so that the broker sends the will.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from modelwave_agent.host.relay.allowance import Allowance
from modelwave_agent.host.relay.board_log import BoardLog
from modelwave_agent.host.relay.downloads import Downloads, shortened
from modelwave_agent.host.relay.store import FileStore
from modelwave_agent.host.relay.topics_of import MAX_SUBSCRIPTIONS, Voice
from modelwave_agent.host.relay.types import BoardLine, BoardLink, HttpFetcher
from modelwave_agent.ports import Clock, LinkLost
from modelwave_shared import line_messages as messages
from modelwave_shared.errors import LineError
from modelwave_shared.line_messages import MAX_ORDER_BYTES

MAX_WAITING = 8  # operations of a board; then nothing more is taken from its line


class Allowances:
    """What one board may have done in a time, over all its sessions."""

    def __init__(self, clock: Clock) -> None:
        self.connects = Allowance(clock, 10, 5.0)
        self.operations = Allowance(clock, 100, 0.2)
        self.fetches = Allowance(clock, 20, 1.0)


@dataclass(frozen=True)
class Served:
    """What the sessions of one board have in common."""

    fleet: str
    device: str
    link: BoardLink
    store: FileStore
    http: HttpFetcher
    allowances: Allowances
    log: BoardLog
    clock: Clock


class BoardSession:
    def __init__(self, line: BoardLine, served: Served) -> None:
        self.line = line
        self.served = served
        self.link = served.link
        self.log = served.log
        self.voice = Voice(served.fleet, served.device)
        self.is_connected = False  # to the broker
        self.downloads = Downloads(
            line,
            served.link,
            served.fleet,
            served.device,
            served.store,
            served.http,
            served.allowances.fetches,
            served.log,
            served.clock,
        )
        self._heard: set[str] = set()  # the topics that the board has subscribed to
        self._asked: asyncio.Queue[tuple[int, list[Any]]] = asyncio.Queue(MAX_WAITING)
        self._listening: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serves the board until the session ends. Raises LinkLost then."""
        working = asyncio.create_task(self._work())
        hearing = asyncio.create_task(self._hear())
        try:
            await asyncio.wait([working, hearing], return_when=asyncio.FIRST_COMPLETED)
        finally:
            tasks = [working, hearing]
            for task in tasks:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            await self.downloads.close()
            await self._stop_listening()
            self.is_connected = False
            await self.link.drop()
        for error in done:
            if isinstance(error, Exception):
                raise error

    async def _hear(self) -> None:
        while True:
            message = await self.line.receive()
            try:
                kind, values = messages.unpack(message, messages.FROM_BOARD)
            except LineError as error:
                self.log.warning(f"the board says what is no message: {error}")
                raise LinkLost(str(error)) from error
            if kind == messages.FETCH:
                await self.downloads.begin(*values)
            elif kind == messages.STOP:
                self.downloads.stop(*values)
            else:
                await self._asked.put((kind, values))

    async def _work(self) -> None:
        while True:
            kind, values = await self._asked.get()
            if kind == messages.CONNECT:
                await self._connect(*values)
            elif kind == messages.SUBSCRIBE:
                await self._subscribe(*values)
            elif kind == messages.PUBLISH:
                await self._publish(*values)
            else:
                await self._close()

    async def _connect(self, topic: str, will: bytes) -> None:
        problem = self.voice.refused_will(topic, will)
        await self._stop_listening()
        self.is_connected = False
        if not problem:
            await self.served.allowances.connects.take()
            try:
                await self.link.connect(topic, will)
            except LinkLost as error:
                problem = str(error)
                self.link.turn()
        if not problem:
            self._heard.clear()
            self.is_connected = True
            self._listening = asyncio.create_task(self._listen())
        await self._answer(0, problem)

    async def _subscribe(self, number: int, topics: list[str]) -> None:
        await self.served.allowances.operations.take()
        granted = [topic for topic in topics if self.voice.may_hear(topic)]
        if len(self._heard.union(granted)) > MAX_SUBSCRIPTIONS:
            granted = []
        denied = [topic for topic in topics if topic not in granted]
        for topic in denied[:1]:
            self.log.warning(f"the board may not read {topic}")
        self._heard.update(granted)
        try:
            denied += await self.link.denied(granted) if granted else []
        except LinkLost as error:
            return await self._answer(number, str(error) or "not connected")
        await self._answer(number, "", denied)

    async def _publish(self, number: int, retain: int, topic: str, payload: bytes) -> None:
        await self.served.allowances.operations.take()
        problem = self.voice.refused(topic, payload, bool(retain))
        if problem:
            self.log.warning(f"the board may not publish to {topic}: {problem}")
        else:
            try:
                await self.link.publish(topic, payload, bool(retain))
            except LinkLost as error:
                problem = str(error) or "not connected"
        await self._answer(number, problem)

    async def _close(self) -> None:
        await self._stop_listening()
        self.is_connected = False
        await self.link.close()

    async def _answer(self, number: int, problem: str, denied: list[str] | None = None) -> None:
        text = shortened(problem)
        await self.line.send(messages.pack(messages.ANSWER, number, text, denied or []))

    # What the broker sends.

    async def _listen(self) -> None:
        while True:
            try:
                topic, payload = await self.link.receive()
            except LinkLost as error:
                self.is_connected = False
                self.link.turn()
                return await self.line.send(messages.pack(messages.GONE, shortened(str(error))))
            await self._pass_on(topic, payload)

    async def _pass_on(self, topic: str, payload: bytes) -> None:
        if topic == self.downloads.block_topic:
            self.downloads.blocks.take(payload)
        if topic not in self._heard:
            return
        if len(payload) > MAX_ORDER_BYTES:
            self.log.warning(f"a message on {topic} is too long for a board")
            return
        await self.line.send(messages.pack(messages.MESSAGE, topic, payload))

    async def _stop_listening(self) -> None:
        task, self._listening = self._listening, None
        if task:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
