"""Fakes around a gateway's session with one board: the board on its wire, the broker, the file
server, and a clock."""

import asyncio
from typing import Any

from modelwave_agent.host.clock import HostClock
from modelwave_agent.host.http import Sink
from modelwave_agent.ports import LinkLost
from modelwave_shared import blocks, topics
from modelwave_shared import line_messages as messages
from tests import signing

DATA = bytes(range(250)) * 20
SHA = signing.sha(DATA)
PRESENCE = topics.presence("demo", "pico-1")


class Wire:
    """The line between a test, as the board, and the session."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.told: asyncio.Queue[tuple[int, list[Any]]] = asyncio.Queue()
        self.is_read = asyncio.Event()
        self.is_read.set()

    # As the session sees it.

    async def receive(self) -> bytes:
        message = await self.said.get()
        if message is None:
            raise LinkLost("unplugged")
        return message

    async def send(self, message: bytes) -> None:
        await self.is_read.wait()
        self.told.put_nowait(messages.unpack(message, messages.FROM_GATEWAY))

    # As the board does.

    def say(self, kind: int, *values: Any) -> None:
        self.said.put_nowait(messages.pack(kind, *values))

    async def asks(self, kind: int, *values: Any) -> list[Any]:
        """The values of the answer."""
        self.say(kind, *values)
        found, answer = await self.told.get()
        assert found == messages.ANSWER
        return answer

    async def connect(self) -> list[Any]:
        return await self.asks(messages.CONNECT, PRESENCE, b"offline")

    async def fetched(self, number: int = 1) -> tuple[bytes, str]:
        """The bytes that came, and the problem."""
        data = b""
        while True:
            kind, values = await self.told.get()
            assert values[0] == number
            if kind == messages.FETCHED:
                return data, values[2]
            assert values[1] == len(data)
            data += values[2]


class Broker:
    """The board's link to it."""

    def __init__(self) -> None:
        self.did: list[tuple[Any, ...]] = []
        self.sends: asyncio.Queue[tuple[str, bytes] | LinkLost] = asyncio.Queue()
        self.refuses = ""
        self.fault: Exception | None = None
        self._dropped = asyncio.Event()
        self.files: dict[str, bytes] = {}  # that the controller sends in blocks

    async def connect(self, will_topic: str, will: bytes) -> None:
        self.did.append(("connect", will_topic, will))
        if self.fault:
            raise self.fault
        if self.refuses:
            raise LinkLost(self.refuses)

    async def denied(self, asked: list[str]) -> list[str]:
        self.did.append(("subscribe", *asked))
        return [topic for topic in asked if topic.endswith("/denied")]

    async def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        if self.refuses:
            raise LinkLost(self.refuses)
        if topic == topics.file_get("demo", "pico-1"):
            self._send_blocks(*blocks.read_request(payload))
        self.did.append(("publish", topic, payload, retain))

    def _send_blocks(self, sha256: bytes, offset: int, count: int) -> None:
        data = self.files.get(sha256.hex(), b"")
        for start in range(offset, offset + count * blocks.BLOCK_BYTES, blocks.BLOCK_BYTES):
            block = data[start : start + blocks.BLOCK_BYTES]
            head = blocks.head(sha256, start)
            self.sends.put_nowait((topics.file_block("demo", "pico-1"), head + block))

    async def receive(self) -> tuple[str, bytes]:
        found = await self.sends.get()
        if isinstance(found, LinkLost):
            raise found
        return found

    async def close(self) -> None:
        self.did.append(("close",))

    async def drop(self) -> None:
        self.did.append(("drop",))
        self._dropped.set()

    async def dropped(self) -> None:
        """Returns when the connection is dropped, from now on."""
        self._dropped.clear()
        await self._dropped.wait()

    def turn(self) -> None:
        self.did.append(("turn",))


class Server:
    """The file server."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.was_asked = asyncio.Event()

    async def fetch(self, url: str, intake: Sink) -> None:
        self.asked.append(url)
        self.was_asked.set()
        intake.write(memoryview(DATA)[intake.offset :])


class QuickClock(HostClock):
    """Passes the time that is waited for at once."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        await asyncio.sleep(0)
