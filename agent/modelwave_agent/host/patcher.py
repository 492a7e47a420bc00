"""Applies deltas on a host: kind 1 as boards do, and kind 2, which is bsdiff 4 (bsdiff.py)."""

import zlib
from typing import IO, TYPE_CHECKING

from modelwave_agent.host import bsdiff
from modelwave_agent.intake import Intake
from modelwave_agent.patch import BadDelta, Patch
from modelwave_agent.ports import Patcher
from modelwave_shared.deltas import BSDIFF, SUBTRACTED

if TYPE_CHECKING:
    from modelwave_agent.types import Breathe

CHUNK_BYTES = 65536
_RAW = -zlib.MAX_WBITS
_INPUT_BYTES = 4096


class HostPatcher(Patcher):
    reads = BSDIFF if bsdiff.HAS_BZ2 else SUBTRACTED

    async def patch(
        self, kind: int, delta: str, base: str, intake: Intake, breathe: "Breathe"
    ) -> None:
        """As in ports.Patcher."""
        with open(delta, "rb") as source, open(base, "rb") as old:
            if kind == BSDIFF:
                await bsdiff.patch(source, old, intake, breathe)
                return
            inflated = Inflated(source)
            await Patch(inflated, old, intake, breathe, bsdiff.add, CHUNK_BYTES).run()


class Inflated:
    """Inflates a raw deflate stream, no further than it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._stream = zlib.decompressobj(_RAW)

    def readinto(self, buffer: memoryview) -> int:
        """Fills the beginning of `buffer`; returns how much, 0 at the end. Raises BadDelta."""
        while not self._stream.eof:
            data = self._stream.unconsumed_tail or self._file.read(_INPUT_BYTES)
            try:
                found = self._stream.decompress(data, len(buffer))
            except zlib.error as error:
                raise BadDelta(str(error)) from error
            if found:
                buffer[: len(found)] = found
                return len(found)
            if not data:
                break
        return 0
