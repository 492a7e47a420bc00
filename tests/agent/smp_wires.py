"""Ways from a gateway to the board of smp_board.py: at once in memory, with faults; by UDP; on a
pseudo terminal."""

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from smp import packet

from modelwave_agent.host.carried.smp_session import Patience, Session
from tests.agent.smp_board import BUFFER_BYTES, Board

# In memory an answer is there at once, or never.
PATIENCE = Patience(poll=0, boots=8, settled=3)


class GatewayCut(BaseException):
    """The gateway has lost its power."""


class Wire:
    """A transport as smpclient's. `fault` says what happens to message number n."""

    max_unencoded_size = BUFFER_BYTES - 4

    def __init__(self, board: Board, fault: Callable[[int], str] = lambda n: "") -> None:
        self.board, self.fault, self.n = board, fault, 0
        self.names: list[str] = []
        self._answers: list[bytes] = []
        self._last = b""

    def initialize(self, size: int) -> None:
        assert size == BUFFER_BYTES

    async def send(self, data: bytes) -> None:
        kind = self.fault(self.n)
        self.n += 1
        if kind == "gateway cut before":
            raise GatewayCut
        if kind == "request lost":
            return
        if kind == "board cut before":
            self.board.power_cut()
            return
        if kind == "board cut before, all the same":
            self.board.power_cut()
        answer = self.board.answer(data)
        if kind == "request doubled":
            self._answers.append(self.board.answer(data))
        elif kind == "board cut after":
            self.board.power_cut()
            return
        elif kind == "gateway cut after":
            raise GatewayCut
        elif kind == "answer lost":
            return
        elif kind == "answer doubled":
            self._answers.append(answer)
        elif kind == "older answer first":
            self._answers.append(self._last or answer)
        elif kind == "garbage":
            answer = answer[:5] + b"\xff" + answer[6:-3]
        elif kind == "noise":
            self._answers.append(b"\x06")
        elif kind == "unplugged":
            raise OSError("gone")
        self._last = answer
        self._answers.append(answer)

    async def receive(self) -> bytes:
        if not self._answers:
            raise TimeoutError
        return self._answers.pop(0)

    @asynccontextmanager
    async def line(self) -> AsyncIterator[Session]:
        """Connects, as smp_lines.connected."""
        self._answers.clear()
        session = Session(self, PATIENCE)
        await session.meet()
        yield session


class UdpServer(asyncio.DatagramProtocol):
    def __init__(self, board: Board) -> None:
        self._board = board

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._transport.sendto(self._board.answer(data), addr)


@asynccontextmanager
async def by_udp(board: Board) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: UdpServer(board), local_addr=("127.0.0.1", 0)
    )
    try:
        host, port = transport.get_extra_info("sockname")
        yield f"udp://{host}:{port}"
    finally:
        transport.close()


@asynccontextmanager
async def by_serial(board: Board, noise: bytes = b"") -> AsyncIterator[str]:
    """A pseudo terminal; `noise`: what the board's console prints before each answer."""
    master, slave = os.openpty()
    tty.setraw(slave)
    loop, decoder, held = asyncio.get_running_loop(), None, b""

    def read() -> None:
        nonlocal decoder, held
        held += os.read(master, 4096)
        while b"\n" in held:
            line, _, held = held.partition(b"\n")
            if decoder is None:
                decoder = packet.decode()
                next(decoder)
            try:
                decoder.send(line + b"\n")
            except StopIteration as whole:
                decoder = None
                os.write(master, noise + b"".join(packet.encode(board.answer(whole.value))))

    loop.add_reader(master, read)
    try:
        yield os.ttyname(slave)
    finally:
        loop.remove_reader(master)
        os.close(master)
        os.close(slave)
