"""Downloads in blocks over MQTT (shared/blocks.py), for boards that have no HTTP.

What the bank's file has is the only offset. A few blocks are asked for at once, and the next
ones before these are all there, so that the line does not fall silent. A block is written in
the moment it comes, if it is the one that belongs there; every other (repeated, late, after a
gap, of another file) is passed over. After a silence all that is missing is asked for anew.
"""

import asyncio
import binascii

from modelwave_agent.ports import Fetcher, FetchError, LinkLost
from modelwave_shared import blocks, topics
from modelwave_shared.blocks import BLOCK_BYTES, HEAD_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.intake import Intake
    from modelwave_agent.ports import BrokerLink, Clock

WINDOW = 8  # blocks that are asked for at once
LOW = 4096  # bytes on their way, at which the next are asked for
SILENCE_SECONDS = 3
SILENCES = 5  # one after the other, then it is given up


class BlockFetcher(Fetcher):
    """One serves all models of a board, one file at a time."""

    def __init__(self, link: "BrokerLink", fleet: str, device: str, clock: "Clock") -> None:
        self.link = link
        self.topic = topics.file_get(fleet, device)
        self.clock = clock
        self.turn = asyncio.Lock()
        self.came = asyncio.Event()  # a block, or a problem
        self.problem: "Exception | None" = None
        self.intake: "Intake | None" = None  # of the file that is being fetched

    async def fetch(self, url: str, intake: "Intake") -> None:
        """As ports.Fetcher says. The controller has the file under its sha256; `url` is for
        devices that have HTTP."""
        async with self.turn:
            self.problem = None
            self.intake = intake
            try:
                await self._fetch(intake)
            finally:
                self.intake = None

    async def _fetch(self, intake: "Intake") -> None:
        sha256 = binascii.unhexlify(intake.sha256)
        end = intake.offset  # what was asked for goes up to here
        silences = 0
        while intake.offset < intake.wanted:
            if self.problem:
                raise self.problem
            self.came.clear()
            if end - intake.offset <= LOW and end < intake.wanted:
                count = min(WINDOW, (intake.wanted - end + BLOCK_BYTES - 1) // BLOCK_BYTES)
                try:
                    await self.link.publish(self.topic, blocks.request(sha256, end, count), False)
                except LinkLost:
                    # However long it takes: nobody refuses anything.
                    silences = -1
                end += count * BLOCK_BYTES
            if await self.clock.wait(self.came, SILENCE_SECONDS):
                silences = 0
            else:
                silences += 1
                end = intake.offset
            if silences == SILENCES:
                raise FetchError("no blocks come")

    def take(self, payload: bytes) -> None:
        """A message on the device's block topic. Never raises: what goes wrong is told to
        who waits for the file."""
        intake = self.intake
        if not intake:
            return
        start = blocks.head(binascii.unhexlify(intake.sha256), intake.offset)
        size = len(payload) - HEAD_BYTES
        wanted = min(BLOCK_BYTES, intake.wanted - intake.offset)
        if not payload.startswith(start) or size > wanted:
            return
        try:
            if size < wanted:
                raise FetchError("the controller lacks it from byte %d on" % intake.offset)
            intake.write(memoryview(payload)[HEAD_BYTES:])
        except Exception as error:
            self.problem = error
            self.intake = None  # nothing more is written to it
        self.came.set()
