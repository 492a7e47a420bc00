"""SMP servers that answer what they like: each answer is CarrierError or a text, and all ends."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import cbor2
import pytest

pytest.importorskip("smpclient", reason="needs the extra relay")

from smp.header import Header

from modelwave_agent.host.carried import smp_golden, smp_messages
from modelwave_agent.host.carried.port import CarrierError
from modelwave_agent.host.carried.smp import SmpCarrier
from modelwave_agent.host.carried.smp_lines import MAX_DATAGRAMS, connected
from modelwave_agent.host.carried.smp_session import Patience, Session
from tests.agent.smp_board import Board, framed
from tests.agent.smp_update import MANIFEST, Files, board
from tests.agent.smp_wires import Wire, by_serial

CASES = 120
ODD = (None, True, -1, 0, 2**63, 1.5, "", "x" * 300, "\x1b[2J", b"", bytes(31), bytes(32), [], {})


class Liar(Board):
    """Says the truth to the first messages, and then changes answers."""

    def __init__(self, drawn: random.Random, honest: int) -> None:
        there = board()
        self._drawn, self._honest, self._started = drawn, honest, False
        super().__init__(there.primary, there.programs)
        self._started = True

    def answer(self, frame: bytes) -> bytes:
        truth = super().answer(frame)
        self._honest -= 1
        if self._honest >= 0:
            return truth
        asked = Header.loads(frame[: Header.SIZE])
        kind = self._drawn.randrange(4)
        if kind == 0:
            return self._drawn.randbytes(self._drawn.randrange(40))
        if kind == 1:
            at = self._drawn.randrange(len(truth))
            return truth[:at] + self._drawn.randbytes(1) + truth[at + 1 :]
        data = cbor2.loads(truth[Header.SIZE :])
        place = data["images"][0] if kind == 2 and data.get("images") else data
        if place:
            place[self._drawn.choice(sorted(place))] = self._drawn.choice(ODD)
        return framed(asked, data)


def asks(carried: SmpCarrier, files: Files) -> list[Callable[[], Awaitable[object]]]:
    new, old = files.named(files.new), files.named(files.old)
    return [
        carried.state,
        lambda: carried.write(*new, lambda have, size: None),
        lambda: carried.prove(str(files.golden), MANIFEST),
        lambda: carried.healthy(0),
        carried.confirm,
        lambda: carried.back(*old),
        carried.leave,
        carried.observed,
    ]


def test_server_that_lies_is_an_error_and_nothing_else(tmp_path: Path) -> None:
    drawn, files = random.Random(7), Files(tmp_path)

    raised: list[str] = []

    async def all_of_them() -> None:
        for case in range(CASES):
            carried = SmpCarrier(Wire(Liar(drawn, drawn.randrange(12))).line)
            try:
                await asks(carried, files)[case % 8]()
            except CarrierError as error:
                raised.append(str(error))

    asyncio.run(all_of_them())
    assert len(raised) > CASES // 4
    assert all(said.isprintable() for said in raised)


class Numbers(Board):
    """Answers with this CBOR for a number."""

    def __init__(self, number: bytes) -> None:
        there = board()
        self._number = number
        super().__init__(there.primary, there.programs)

    def answer(self, frame: bytes) -> bytes:
        body = b"\xa1" + cbor2.dumps("off") + self._number
        head = framed(Header.loads(frame[: Header.SIZE]), {})
        return head[:2] + len(body).to_bytes(2, "big") + head[4 : Header.SIZE] + body


@pytest.mark.parametrize(
    "number",
    [
        cbor2.dumps(cbor2.CBORTag(4, [10**5, 1])),  # 10 ** 10 ** 5; more takes all memory and time
        cbor2.dumps(2**64),
        b"\x9f\x44abcd" + cbor2.dumps({1.5: [None, "x" * 300, 2**40]}) + b"\xc1\x01\xff",
    ],
)
def test_number_that_is_to_be_calculated_is_none(number: bytes) -> None:
    async def life() -> None:
        session = Session(Wire(Numbers(number)), Patience(tries=1))
        with pytest.raises(CarrierError, match="it has a tag"):
            await session.ask(partial(smp_messages.Run, n=0, len=1, off=0, data=b"x"))

    asyncio.run(life())


class Forgetful(Board):
    """Says by turns that it has some of an input, and none."""

    def __init__(self) -> None:
        there = board()
        self._asked, self._has = 0, 0
        super().__init__(there.primary, there.programs)

    def answer(self, frame: bytes) -> bytes:
        self._asked += 1
        assert self._asked < 1000
        self._has = 0 if self._has else 2
        return framed(Header.loads(frame[: Header.SIZE]), {"off": self._has})


def test_board_that_forgets_its_input_again_and_again_is_given_up(tmp_path: Path) -> None:
    files = Files(tmp_path)

    async def life() -> None:
        session = Session(Wire(Forgetful()), Patience(tries=1))
        with pytest.raises(CarrierError, match="input 0 does not get beyond 2 bytes"):
            await smp_golden.judge(session, str(files.golden), MANIFEST["tolerance"])

    asyncio.run(life())


@pytest.mark.parametrize("noise", [b"\x06\x09" + b"A" * 200_000, b"\xff" * 3000])
def test_port_that_floods_is_an_error_and_lets_others_run(noise: bytes) -> None:
    async def life() -> int:
        ran = 0

        async def other() -> None:
            nonlocal ran
            while True:
                ran += 1
                await asyncio.sleep(0)

        async with by_serial(board(), noise[:4000]) as address:
            beside = asyncio.create_task(other())
            carried = SmpCarrier.at(address, patience=Patience(answer=0.2, tries=2))
            try:
                await carried.state()
            except CarrierError:
                pass
            finally:
                beside.cancel()
        return ran

    assert asyncio.run(life()) > 5


class Flood(asyncio.DatagramProtocol):
    """Sends many old answers after the first answer."""

    def __init__(self) -> None:
        self._board, self._left = board(), 4 * MAX_DATAGRAMS

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: object) -> None:
        answer = self._board.answer(data)
        self._transport.sendto(answer, addr)
        while self._left:
            self._left -= 1
            self._transport.sendto(answer, addr)


def test_little_of_a_flood_of_datagrams_is_held() -> None:
    async def life() -> None:
        loop = asyncio.get_running_loop()
        server, _ = await loop.create_datagram_endpoint(Flood, local_addr=("127.0.0.1", 0))
        host, port = server.get_extra_info("sockname")
        patience = Patience(answer=2, tries=1)
        async with connected(f"udp://{host}:{port}", 0, patience) as session:
            await asyncio.sleep(0.1)  # nothing is read meanwhile
            await session.ask(smp_messages.Health)
        server.close()

    asyncio.run(life())
