"""The streams of a board's wire to its gateway, for SerialLink."""

import asyncio
import select
import sys

import micropython

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CTRL_C = 3


class ConsoleStream:
    """The board's console: USB, or the UART of the prompt. What the program prints goes the same
    way. While the stream is open, Ctrl-C is a byte like others and ends nothing."""

    def __init__(self) -> None:
        self._is_open = False
        self._in = sys.stdin.buffer
        self._out = sys.stdout.buffer
        self._reader: "Any" = asyncio.StreamReader(self._in)
        self._poll = select.poll()
        self._poll.register(self._in, select.POLLIN)

    async def read(self, n: int) -> bytes:
        if not self._is_open:
            self._is_open = True
            micropython.kbd_intr(-1)
        # The console's `read` waits until all bytes are there that it was asked for.
        data: bytes = await self._reader.read(1)
        if data:
            more = bytearray(data)
            while len(more) < n and self._poll.poll(0):
                one = self._in.read(1)
                if not one:
                    break
                more += one
            data = bytes(more)
        return data

    async def write(self, data: bytes) -> None:
        self._out.write(data)

    def close(self) -> None:
        """Lets Ctrl-C end the program again."""
        self._is_open = False
        micropython.kbd_intr(CTRL_C)


class UartStream:
    """A UART, such as machine.UART(0, 115200, rxbuf=1024). Its buffer must hold the frames of 256
    bytes that SerialLink takes at once."""

    def __init__(self, uart: "Any") -> None:
        self._stream: "Any" = asyncio.StreamReader(uart)

    async def read(self, n: int) -> bytes:
        data: bytes = await self._stream.read(n)
        return data

    async def write(self, data: bytes) -> None:
        self._stream.write(data)
        await self._stream.drain()
