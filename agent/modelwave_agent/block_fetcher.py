"""Downloads files in blocks over MQTT (shared/blocks.py), for boards without HTTP, and for
gateways of boards whose files no server has.

The length of the bank's file is the only offset. A request asks for a few blocks, and the next
request is sent before all of these have come, so that the transfer does not pause. A block is
written at once if it is the next one of the file; every other block (repeated, late, after a
gap, of another file) is ignored. After a silence, all missing blocks are requested again.
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

WINDOW = 8  # blocks in one request
LOW = 4096  # requested bytes that are still missing when the next request is sent
SILENCE_SECONDS = 3
SILENCES = 5  # in a row, after which the download fails


class BlockFetcher(Fetcher):
    """Downloads for all models of a board, one file at a time."""

    def __init__(self, link: "BrokerLink", fleet: str, device: str, clock: "Clock") -> None:
        self.link = link
        self.topic = topics.file_get(fleet, device)
        self.clock = clock
        self.turn = asyncio.Lock()
        self.came = asyncio.Event()  # a block, or a problem
        self.problem: "Exception | None" = None
        self.intake: "Intake | None" = None  # of the file that is being fetched

    async def fetch(self, url: str, intake: "Intake") -> None:
        """As in ports.Fetcher. The controller finds the file by its sha256; `url` is not used."""
        async with self.turn:
            self.problem = None
            self.intake = intake
            try:
                await self._fetch(intake)
            finally:
                self.intake = None

    async def _fetch(self, intake: "Intake") -> None:
        end = intake.offset  # the end of what was requested so far
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
                # Time without a connection does not count as a silence of the controller.
                silences = silences + 1 if connected else 0
                end = intake.offset
            if silences == SILENCES:
                raise FetchError(
                    "the controller sends no blocks of the file: %d requests were not answered"
                    % SILENCES
                )

    async def _ask(self, sha256: str, offset: int, count: int) -> bool:
        """Requests `count` blocks from `offset` on. Returns False if the connection is lost."""
        request = blocks.request(binascii.unhexlify(sha256), offset, count)
        try:
            await self.link.publish(self.topic, request, False)
        except LinkLost:
            return False
        return True

    def take(self, payload: bytes) -> None:
        """Handles a message on the device's block topic. Never raises: `fetch`, which waits for
        the file, raises the error."""
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
            self.intake = None  # no more blocks are written
        self.came.set()


def _blocks_of(size: int) -> int:
    """Returns the number of blocks that `size` bytes need."""
    return (size + BLOCK_BYTES - 1) // BLOCK_BYTES
