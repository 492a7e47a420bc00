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
        end = intake.offset  # what was asked for goes up to here
        silences = 0
        while intake.offset < intake.wanted:
            if self.problem:
                raise self.problem
            self.came.clear()
            connected = True
            if end - intake.offset <= LOW and end < intake.wanted:
                count = min(WINDOW, _blocks_of(intake.wanted - end))
                connected = await self._ask(intake.sha256, end, count)
                end += count * BLOCK_BYTES
            if await self.clock.wait(self.came, SILENCE_SECONDS):
                silences = 0
            else:
                # Without a connection nobody is silent, however long it takes.
                silences = silences + 1 if connected else 0
                end = intake.offset
            if silences == SILENCES:
                raise FetchError(
                    "the controller sends no blocks of the file: %d requests were not answered"
                    % SILENCES
                )

    async def _ask(self, sha256: str, offset: int, count: int) -> bool:
        """Asks for `count` blocks from `offset` on. False where the connection is lost."""
        request = blocks.request(binascii.unhexlify(sha256), offset, count)
        try:
            await self.link.publish(self.topic, request, False)
        except LinkLost:
            return False
        return True

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
                raise FetchError(
                    "the controller does not have the file from byte %d on" % intake.offset
                )
            intake.write(memoryview(payload)[HEAD_BYTES:])
        except Exception as error:
            self.problem = error
            self.intake = None  # nothing more is written to it
        self.came.set()


def _blocks_of(size: int) -> int:
    """How many blocks hold so many bytes."""
    return (size + BLOCK_BYTES - 1) // BLOCK_BYTES
