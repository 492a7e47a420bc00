"""A board in QEMU: the micro:bit's nRF51 with the real MCUboot (swap by offset) and Zephyr's real
SMP server, prebuilt by others. PyPI's source distribution of smpclient carries them;
scripts/get-zephyr brings them here. Its firmware has no command group of ours.

The flash is written through the debugger, as QEMU's own loader would write it again at each reset.
QEMU's UART holds up for good what is sent while the boot loader runs: nothing is sent until the
application says that it runs.
"""

import asyncio
import hashlib
import json
import os
import shutil
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from smp import packet
from smp.header import GroupId, Header

from modelwave_agent.host.carried.smp_session import Patience, Session
from tests.agent.smp_wires import GatewayCut
from tests.core.mcuboot_images import area, tlv

QEMU = "qemu-system-arm"
PLACE = Path(os.environ.get("MODELWAVE_ZEPHYR") or Path(__file__).parents[2] / ".zephyr")
FIRMWARE = PLACE / "qemu_cortex_m0_serial.merged.hex"
IMAGE = PLACE / "qemu_cortex_m0_serial.signed.bin"
PATIENCE = Patience(answer=20, erase=60, poll=0.2, boots=60, settled=15)
_RUNS, _BOOTS = b"smp_sample: build time", b"Booting MCUboot"
_LINE_BYTES = 128
_BUFFER_BYTES = 260
_PIECE_BYTES = 1024


def missing() -> str:
    """Returns what is not installed, or ""."""
    if not shutil.which(QEMU):
        return f"{QEMU} is not there: apt-get install qemu-system-arm"
    return "" if FIRMWARE.exists() else f"no firmware in {PLACE}: scripts/get-zephyr .zephyr"


def with_version(image: bytes, major: int) -> bytes:
    """Returns the same program as another image."""
    header, size = struct.unpack_from("<H", image, 8)[0], struct.unpack_from("<I", image, 12)[0]
    hashed = image[:20] + bytes([major]) + image[21 : header + size]
    return hashed + area(tlv(0x10, hashlib.sha256(hashed).digest()))


class ZephyrBoard:
    """A transport as smpclient's, and the power switch."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._answers: asyncio.Queue[bytes] = asyncio.Queue()
        self._runs = asyncio.Event()
        self.console: list[bytes] = []
        self.n = 0
        self._cut: tuple[int, str] = (0, "")

    @property
    def max_unencoded_size(self) -> int:
        return _BUFFER_BYTES - 4

    def initialize(self, size: int) -> None:
        assert size >= _BUFFER_BYTES

    @asynccontextmanager
    async def line(self) -> AsyncIterator[Session]:
        session = Session(self, PATIENCE)
        await session.meet()
        yield session

    async def send(self, data: bytes) -> None:
        self.n += 1
        kind = self._cut[1] if self.n == self._cut[0] else ""
        if kind == "before":
            await self.power_cut()
        await self._runs.wait()
        while not self._answers.empty():
            self._answers.get_nowait()
        for line in packet.encode(data, _LINE_BYTES):
            self._uart.write(line)
        await self._uart.drain()
        if kind:
            await self._answers.get()
        if kind == "gateway":
            raise GatewayCut
        if kind == "after":
            await self.power_cut()
            raise TimeoutError

    def cut_at(self, n: int, kind: str) -> None:
        """Has the power cut "before" or "after" message number n, or the "gateway"'s after it."""
        self._cut = (n, kind)

    async def receive(self) -> bytes:
        return await self._answers.get()

    async def power_cut(self) -> None:
        self._runs.clear()
        await self._order("system_reset")

    async def start(self) -> None:
        def socket(name: str) -> str:
            return f"{self._folder / name},server=on,wait=off"

        self._qemu = await asyncio.create_subprocess_exec(
            *(QEMU, "-cpu", "cortex-m0", "-machine", "microbit", "-nographic", "-monitor", "none"),
            *("-chardev", f"socket,id=uart,path={socket('uart')}", "-serial", "chardev:uart"),
            *("-qmp", f"unix:{socket('qmp')}", "-S", "-gdb", f"unix:{socket('gdb')}"),
            stdin=asyncio.subprocess.DEVNULL,
        )
        reader, self._uart = await self._open("uart")
        self._listening = asyncio.create_task(self._listen(reader))
        self._qmp_reader, self._qmp = await self._open("qmp")
        await self._qmp_reader.readline()
        await self._order("qmp_capabilities")
        await self._write_flash()
        await self._order("system_reset")
        await self._order("cont")

    async def stop(self) -> None:
        self._listening.cancel()
        self._qemu.kill()
        await self._qemu.wait()

    async def _open(self, name: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while True:
            with suppress(FileNotFoundError, ConnectionRefusedError):
                return await asyncio.open_unix_connection(self._folder / name)
            assert self._qemu.returncode is None
            await asyncio.sleep(0.01)

    async def _order(self, what: str) -> None:
        self._qmp.write(json.dumps({"execute": what}).encode())
        while b'"return"' not in await self._qmp_reader.readline():
            pass

    async def _write_flash(self) -> None:
        reader, writer = await self._open("gdb")
        for start, data in _hex_areas(FIRMWARE.read_text()):
            for at in range(0, len(data), _PIECE_BYTES):
                piece = data[at : at + _PIECE_BYTES]
                body = f"M{start + at:x},{len(piece):x}:{piece.hex()}"
                writer.write(f"${body}#{sum(body.encode()) % 256:02x}".encode())
                assert await reader.readuntil(b"#") == b"+$OK#"
                await reader.readexactly(2)
                writer.write(b"+")
        body = "D"  # it lets the program run on
        writer.write(f"${body}#{sum(body.encode()) % 256:02x}".encode())
        await reader.readuntil(b"#")
        writer.close()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        decoder = None
        while line := await reader.readline():
            starts = [at for mark in (b"\x06\x09", b"\x04\x14") if (at := line.find(mark)) >= 0]
            if not starts:
                self.console.append(line)
                if _BOOTS in line:
                    self._runs.clear()
                elif _RUNS in line:
                    self._runs.set()
                continue
            line = line[min(starts) :]
            if decoder is None or line.startswith(b"\x06\x09"):
                decoder = packet.decode()
                next(decoder)
            try:
                decoder.send(line)
            except StopIteration as whole:
                decoder = None
                asked = Header.loads(whole.value[: Header.SIZE])
                if (asked.group_id, int(asked.command_id)) == (GroupId.OS_MANAGEMENT, 5):
                    self._runs.clear()  # it resets itself in a moment
                self._answers.put_nowait(whole.value)
            except Exception:  # the log's lines may come between those of an answer
                decoder = None


def _hex_areas(text: str) -> list[tuple[int, bytes]]:
    """Returns (address, bytes) of the pieces of an Intel HEX file."""
    found: list[tuple[int, bytearray]] = []
    high = 0
    for line in text.split():
        record = bytes.fromhex(line[1:])
        address, kind, data = int.from_bytes(record[1:3], "big"), record[3], record[4:-1]
        if kind == 4:
            high = int.from_bytes(data, "big") << 16
        elif kind == 2:
            high = int.from_bytes(data, "big") << 4
        elif kind == 0:
            if not found or found[-1][0] + len(found[-1][1]) != high + address:
                found.append((high + address, bytearray()))
            found[-1][1].extend(data)
    return [(start, bytes(data)) for start, data in found]
