"""The carrier against the real MCUboot and Zephyr's real SMP server, in QEMU (zephyr_board.py): a
gateway's and a board's power cut among it. Those at each message are in test_smp_cuts.py."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

pytest.importorskip("smpclient", reason="needs the extra relay")

from modelwave_agent.host.carried.smp import SmpCarrier
from tests.agent.smp_wires import GatewayCut
from tests.agent.zephyr_board import IMAGE, ZephyrBoard, missing, with_version
from tests.core.mcuboot_images import tlv

LONG = os.environ.get("MODELWAVE_LONG") == "1"

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.slow,
    pytest.mark.timeout(3600),
]


class World:
    """A board that runs the image `old`, and two files for it."""

    def __init__(self, board: ZephyrBoard, folder: Path) -> None:
        self.board, self.carrier = board, SmpCarrier(board.line)
        self.old, self.new = folder / "old", folder / "new"
        self.old.write_bytes(IMAGE.read_bytes())
        self.new.write_bytes(with_version(IMAGE.read_bytes(), 1))
        self.offsets: list[int] = []

    async def write(self) -> str:
        return await self.carrier.write(str(self.new), "", self._told)

    def _told(self, have: int, size: int) -> None:
        self.offsets.append(have)

    async def runs(self) -> tuple[str, bool]:
        state = await self.carrier.state()
        names = {self.carrier.identity(str(path), ""): path.name for path in (self.old, self.new)}
        return names[state.runs], state.is_confirmed


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    with tempfile.TemporaryDirectory(prefix="mw") as folder:  # sockets have short paths
        board = ZephyrBoard(Path(folder))
        await board.start()
        try:
            yield World(board, Path(folder))
        finally:
            await board.stop()


def test_update_by_the_real_boot_loader() -> None:
    async def life() -> None:
        async with world() as there:
            board = there.board
            assert await there.runs() == ("old", True)
            board.cut_at(board.n + 40, "gateway")
            with pytest.raises(GatewayCut):
                await there.write()
            begun = len(there.offsets)
            assert await there.write() == ""
            assert there.offsets[begun] > there.offsets[begun - 1]  # it went on, not anew
            assert await there.runs() == ("new", False)
            await board.power_cut()
            assert await there.runs() == ("old", True)
            sent = len(there.offsets)
            assert await there.write() == ""
            assert len(there.offsets) == sent  # the board had it still
            await there.carrier.leave()
            assert await there.runs() == ("old", True)
            assert await there.write() == ""
            await there.carrier.confirm()
            await board.power_cut()
            assert await there.runs() == ("new", True)

    asyncio.run(life())


@pytest.mark.skipif(not LONG, reason="MODELWAVE_LONG=1 does it")
def test_image_that_the_real_boot_loader_refuses_never_runs() -> None:
    async def life() -> None:
        async with world() as there:
            good = there.new.read_bytes()
            extra = tlv(0x99, b"not permitted")
            end = len(good) - 40
            length = int.from_bytes(good[end + 2 : end + 4], "little") + len(extra)
            head = good[:end] + good[end : end + 2] + length.to_bytes(2, "little")
            there.new.write_bytes(head + good[end + 4 :] + extra)
            assert "boot loader refused" in await there.write()
            assert await there.runs() == ("old", True)

    asyncio.run(life())
