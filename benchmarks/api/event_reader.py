"""Follows the log of a service as a browser does: whoever is cut off comes again, and says which
event it had last."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

AGAIN_SECONDS = 0.2
PATH = "/api/v1/log/stream?answers=true"


class EventReader:
    """ids: of all events that it was sent, in their order
    arrived: {id: when it came, by time.monotonic()}
    connected: whether its answer has begun
    """

    def __init__(self, url: str, token: str) -> None:
        self._address = urlsplit(url)
        self._token = token
        self._last = ""
        self.ids: list[int] = []
        self.arrived: dict[int, float] = {}
        self.connected = False

    async def follow(self) -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._follow_once()
            self.connected = False
            await asyncio.sleep(AGAIN_SECONDS)

    async def _follow_once(self) -> None:
        host, port = self._address.hostname or "", self._address.port
        reader, writer = await asyncio.open_connection(host, port)
        try:
            headers = [f"GET {PATH} HTTP/1.0", f"Authorization: Bearer {self._token}"]
            headers += [f"Last-Event-ID: {self._last}"] if self._last else []
            writer.write("\r\n".join([*headers, "", ""]).encode())
            status, *_ = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
            if b" 200 " not in status:
                return
            async for block in _blocks(reader):
                self._take(block)
        finally:
            writer.close()

    def _take(self, block: dict[str, str]) -> None:
        self.connected = True
        self._last = block.get("id", self._last)
        if "data" in block:
            number = int(json.loads(block["data"])["id"])
            self.ids.append(number)
            self.arrived[number] = time.monotonic()


async def _blocks(reader: asyncio.StreamReader) -> AsyncIterator[dict[str, str]]:
    """Yields the fields of each block of Server-Sent Events, until the connection ends."""
    found: dict[str, str] = {}
    async for line in reader:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            found[name] = value
        else:
            yield found
            found = {}
