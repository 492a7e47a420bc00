"""A board on a pseudo-terminal, for tests of a gateway: the test is the board, on the real line."""

import asyncio
import contextlib
import os
import tty
from pathlib import Path
from typing import Any

from modelwave_agent.host.clock import HostClock
from modelwave_agent.line import Line
from modelwave_shared import line_messages as messages
from modelwave_shared import topics

BAUD = 115200


class Descriptor:
    """A stream of the board's end."""

    def __init__(self, number: int) -> None:
        self.number = number

    async def read(self, size: int) -> bytes:
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self.number, ready.set)
        try:
            await ready.wait()
            return os.read(self.number, size)
        finally:
            loop.remove_reader(self.number)

    async def write(self, data: bytes) -> None:
        os.write(self.number, data)


class PtyBoard:
    """`path` is a link to its port: a board that is plugged in again has another device."""

    def __init__(self, path: Path, device: str, fleet: str = "demo") -> None:
        self.path = path
        self.device = device
        self.presence = topics.presence(fleet, device)
        self.number = self.held = -1
        self.gateway = ""
        self.line: Line | None = None
        self._reading: asyncio.Task[None] | None = None

    def plug_in(self) -> None:
        self.number, self.held = os.openpty()  # an end that nobody holds is no wire
        tty.setraw(self.held)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(self.held))

    async def start(self) -> None:
        """Begins a session, as after a reset."""
        await self.stop()
        self.line = Line(Descriptor(self.number), HostClock(), BAUD)
        self._reading = asyncio.create_task(self.line.run())
        self.gateway = await self.line.meet_as_board(self.device)

    async def stop(self) -> None:
        """Without power: says and reads nothing."""
        if self._reading:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def unplug(self) -> None:
        await self.stop()
        self.path.unlink(missing_ok=True)  # the device's name may be another's at once
        for number in (self.number, self.held):
            with contextlib.suppress(OSError):
                os.close(number)

    async def say(self, kind: int, *values: Any) -> None:
        assert self.line
        await self.line.send(messages.pack(kind, *values))

    async def hears(self) -> tuple[int, list[Any]]:
        assert self.line
        return messages.unpack(await self.line.receive(), messages.FROM_GATEWAY)

    async def connect(self) -> list[Any]:
        await self.say(messages.CONNECT, self.presence, b"offline")
        return (await self.hears())[1]
