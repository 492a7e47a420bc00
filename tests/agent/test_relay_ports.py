"""A gateway's serial ports, on pseudo-terminals: ports.py."""

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from modelwave_agent.host.clock import HostClock
from modelwave_agent.host.relay import ports
from modelwave_agent.host.relay.ports import Port, PortError, UsbPorts

list_ports = pytest.importorskip("serial.tools.list_ports")

SECONDS = 20


@asynccontextmanager
async def wired() -> AsyncIterator[tuple[int, Port]]:
    """A board's end, a descriptor, and the gateway's port."""
    board, other = os.openpty()
    tty.setraw(board)
    port = Port(os.ttyname(other), 115200)
    try:
        yield board, port
    finally:
        await port.close()
        os.close(other)
        try:
            os.close(board)
        except OSError:
            assert board


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(SECONDS):
            await main()

    asyncio.run(limited())


def test_every_byte_passes_as_it_is() -> None:
    async def main() -> None:
        async with wired() as (board, port):
            every = bytes(range(256))
            await port.write(every)
            assert os.read(board, 1000) == every
            reading = asyncio.create_task(port.read(1000))
            await asyncio.sleep(0)
            os.write(board, every)
            assert await reading == every

    run(main)


def test_board_that_does_not_read_holds_up_nobody() -> None:
    async def main() -> None:
        async with wired() as (board, port):
            writing = asyncio.create_task(port.write(bytes(1_000_000)))
            await asyncio.sleep(0.01)
            assert not writing.done()
            os.write(board, b"still here")
            assert await port.read(100) == b"still here"  # the other way is open
            await port.close()
            await writing

    run(main)


def test_unplugged_board_reads_as_ended() -> None:
    async def main() -> None:
        async with wired() as (board, port):
            reading = asyncio.create_task(port.read(100))
            await asyncio.sleep(0)
            os.close(board)
            assert await reading == b""
            await port.write(b"lost")

    run(main)


def test_close_ends_a_read() -> None:
    async def main() -> None:
        async with wired() as (_, port):
            reading = asyncio.create_task(port.read(100))
            await asyncio.sleep(0)
            await port.close()
            assert await reading == b""

    run(main)


def test_port_is_opened_by_one_alone() -> None:
    async def main() -> None:
        async with wired() as (_, port):
            with pytest.raises(PortError, match="another program has opened it"):
                Port(port.path, 115200)

    run(main)


def test_port_that_was_closed_can_be_opened_again_and_takes_one_descriptor() -> None:
    async def main() -> None:
        async with wired() as (_, port):
            held = os.listdir("/proc/self/fd")
            await port.close()
            assert len(os.listdir("/proc/self/fd")) == len(held) - 1
            await Port(port.path, 115200).close()

    run(main)


def test_what_is_no_port_is_told(tmp_path: Path) -> None:
    with pytest.raises(PortError, match="none: No such file or directory"):
        Port(str(tmp_path / "none"), 115200)
    (tmp_path / "file").write_text("")
    with pytest.raises(PortError, match=r"file: no serial port: Inappropriate ioctl for device$"):
        Port(str(tmp_path / "file"), 115200)


def test_board_that_floods_is_read_no_faster_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "MAX_BYTES_A_SECOND", 1000)
    slept = [0.0]

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def main() -> None:
        async with wired() as (board, port):
            monkeypatch.setattr(asyncio, "sleep", sleep)
            os.write(board, bytes(4000))
            got = 0
            while got < 3000:
                assert max(slept) == 0 or got > 1000
                got += len(await port.read(3000 - got))
            await port.read(1)
            assert slept[-1] > 1

    run(main)


def test_usb_numbers_are_looked_for_once_for_all_boards(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    def comports() -> list[SimpleNamespace]:
        looks.append(1)
        return [
            SimpleNamespace(device="/dev/ttyACM1", serial_number="E66"),
            SimpleNamespace(device="/dev/ttyACM0", serial_number="E66"),
            SimpleNamespace(device="/dev/ttyS0", serial_number=None),
        ]

    monkeypatch.setattr(list_ports, "comports", comports)

    async def main() -> None:
        usb = UsbPorts(HostClock())
        assert await asyncio.gather(*(usb.path("E66") for _ in range(9))) == ["/dev/ttyACM0"] * 9
        assert await usb.path("other") == ""
        assert len(looks) == 1

    run(main)
