"""Downloads files over the wire to a gateway, which has them or gets them (line_messages.py).

The length of the bank's file is the only offset: after a lost connection the rest is asked for
again. The gateway only brings bytes; the file's sha256 is in the signed manifest.
"""

import asyncio
import binascii

from modelwave_agent.ports import Fetcher, FetchError, LinkLost
from modelwave_shared import line_messages as messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from modelwave_agent.board.serial_link import SerialLink
    from modelwave_agent.intake import Intake

UP_SECONDS = 60  # without a connection to the gateway, after which a download fails
SILENCE_SECONDS = 120  # without a piece, while the line stands: the gateway gets the file first
TRIES = 5  # in a row that bring no byte


class SerialFetcher(Fetcher):
    """Downloads for all models of a board, one file at a time."""

    def __init__(self, link: "SerialLink", hosts: "Sequence[str] | None" = None) -> None:
        """`hosts`: as in ports.Fetcher. The gateway is told no URL of another host; it then has
        the file, or gets it from the controller in blocks."""
        self.hosts = hosts
        self.link = link
        link.fetcher = self
        self.turn = asyncio.Lock()
        self.came = asyncio.Event()  # a piece, the end, a problem, or the connection is lost
        self.intake: "Intake | None" = None  # of the file that is being fetched
        self.number = 0  # of the FETCH whose pieces count
        self.problem: "Exception | None" = None
        self.stopping: "asyncio.Task[None] | None" = None  # the last one that tells the gateway

    async def fetch(self, url: str, intake: "Intake") -> None:
        """As in ports.Fetcher."""
        async with self.turn:
            place = url if self._is_allowed(url) else ""
            failed = 0
            while intake.offset < intake.wanted:
                start = intake.offset
                await self._ask(place, intake)
                failed = failed + 1 if intake.offset == start else 0
                if failed == TRIES:
                    raise FetchError("the connection to the gateway was lost %d times" % TRIES)

    def _is_allowed(self, url: str) -> bool:
        from modelwave_shared.file_hosts import is_url_listed

        return is_url_listed(self.allowed(), url)

    async def _ask(self, place: str, intake: "Intake") -> None:
        """Asks for the rest of the file, and returns when it is there or the connection is
        lost."""
        if not await self.link.clock.wait(self.link.up, UP_SECONDS):
            raise FetchError("there is no connection to a gateway")
        number = self.number = self.link.next_number()
        self.problem = None
        self.intake = intake
        sha256 = binascii.unhexlify(intake.sha256)
        try:
            await self.link.send(
                messages.FETCH, number, sha256, intake.wanted, intake.offset, place
            )
            await self._wait(intake)
        except LinkLost:
            return
        finally:
            self.intake = None
            if intake.offset < intake.wanted and self.link.up.is_set():
                self.stopping = asyncio.create_task(self._stop(number))

    async def _wait(self, intake: "Intake") -> None:
        while self.link.up.is_set():
            self.came.clear()
            if self.problem:
                raise self.problem
            if intake.offset == intake.wanted:
                return
            if not await self.link.clock.wait(self.came, SILENCE_SECONDS):
                raise FetchError("the gateway sends nothing of the file")

    async def _stop(self, number: int) -> None:
        try:
            await self.link.send(messages.STOP, number)
        except LinkLost:
            pass

    def take(self, message: int, values: "list[Any]") -> None:
        """Handles a PIECE or FETCHED. Never raises: `fetch` raises the error."""
        intake = self.intake
        if not intake or values[0] != self.number:
            return
        if message == messages.PIECE:
            _, offset, data = values
            if offset != intake.offset:
                return
            try:
                intake.write(data)
            except Exception as error:
                self.problem = error
        else:
            _, retry_after, problem = values
            self.intake = None
            if problem or intake.offset < intake.wanted:
                problem = problem or "the file of the gateway ends at byte %d" % intake.offset
                self.problem = FetchError(problem, retry_after)
        self.came.set()
