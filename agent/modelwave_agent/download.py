"""Brings the files of a manifest into a bank, and goes on where the bank's files end.

A file is asked for at each of the order's URLs in turn, with growing pauses: an outage of a
few minutes costs a fleet nothing. A try that brought PROGRESS_BYTES does not count, so a bad
line ends too, but never a good one.
"""

from modelwave_agent.intake import TooLong
from modelwave_agent.ports import FetchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelwave_agent.banks import Banks
    from modelwave_agent.intake import Intake
    from modelwave_agent.ports import Clock, Fetcher
    from modelwave_shared.fields import Document

PROGRESS_BYTES = 65536
PAUSE_SECONDS = (1, 2, 5, 10, 30, 60, 120, 300)  # after each try that brought less


class Spoiled(Exception):
    """The bytes that came are not those that were signed; the message names the file."""


class Download:
    def __init__(self, banks: "Banks", bank: int, fetcher: "Fetcher", clock: "Clock") -> None:
        self.banks = banks
        self.bank = bank
        self.fetcher = fetcher
        self.clock = clock

    async def run(self, files: "list[Document]", urls: "list[str]") -> None:
        """Returns when all `files` (the manifest's entries) are in the bank as signed.
        Spoiled, FetchError, OSError."""
        for entry in files:
            await self._bring(entry, urls)

    async def _bring(self, entry: "Document", urls: "list[str]") -> None:
        if self.banks.size(self.bank, entry["role"]) > entry["size"]:
            raise Spoiled("%s: longer than was signed" % entry["role"])
        intake = self.banks.intake(self.bank, entry)
        try:
            await finish(intake.catch_up(), self.clock)
            await self._fetch_rest(urls, intake)
        except TooLong as error:
            raise Spoiled("%s: %s" % (entry["role"], error))
        finally:
            intake.close()
        if not intake.matches():
            raise Spoiled("%s: its sha256 differs" % entry["role"])

    async def _fetch_rest(self, urls: "list[str]", intake: "Intake") -> None:
        tries = attempt = 0
        while intake.offset < intake.wanted:
            start = intake.offset
            url = "%s/%s" % (urls[attempt % len(urls)].rstrip("/"), intake.sha256)
            problem = "the server sent too little"
            try:
                await self.fetcher.fetch(url, intake)
            except FetchError as error:
                problem = str(error)
            if intake.offset == intake.wanted:
                return
            attempt += 1
            tries = 0 if intake.offset - start >= PROGRESS_BYTES else tries + 1
            if tries > len(PAUSE_SECONDS):
                raise FetchError(
                    "%s, after %d of %d bytes" % (problem, intake.offset, intake.wanted)
                )
            if tries:
                await self.clock.sleep(PAUSE_SECONDS[tries - 1])


async def finish(steps: "Iterator[None]", clock: "Clock") -> "str | None":
    """What the generator `steps` returns; others run meanwhile."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: "str | None" = end.value
            return result
        await clock.sleep(0)
