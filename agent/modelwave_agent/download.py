"""Downloads the files of a manifest into a bank, and checks files that are there by their hash.

A download continues where the bank's files end. It tries the order's URLs in turn until it has all
bytes (retries.py). A try that brought PROGRESS_BYTES does not count as failed.
"""

import hashlib

from modelwave_agent.banks import NAMES
from modelwave_agent.intake import TooLong, hash_file
from modelwave_agent.ports import FetchError
from modelwave_shared.digests import hexed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.banks import Banks
    from modelwave_agent.intake import Intake
    from modelwave_agent.ports import Clock, Fetcher
    from modelwave_agent.retries import Retries
    from modelwave_agent.types import Breathe, Document

PROGRESS_BYTES = 65536


class Spoiled(Exception):
    """The received bytes are not the signed ones; the message names the file."""


class Download:
    """Downloads the files of one bank."""

    def __init__(
        self, banks: "Banks", bank: int, fetcher: "Fetcher", clock: "Clock", retries: "Retries"
    ) -> None:
        self.banks = banks
        self.bank = bank
        self.fetcher = fetcher
        self.clock = clock
        self.retries = retries

    async def run(self, files: "list[Document]", urls: "list[str]") -> None:
        """Downloads `files` (the manifest's entries); returns when the bank has all of them as
        they were signed. Raises Spoiled, OSError, or FetchError once the order has expired."""
        for entry in files:
            await self.bring(entry, urls)

    async def bring(self, entry: "Document", urls: "list[str]", tries: int = 0) -> None:
        """Downloads one of them. `tries`: raises FetchError after so many failed ones, too; 0: it
        goes on."""
        if self.banks.size(self.bank, entry["role"]) > entry["size"]:
            raise Spoiled(
                "%s: its file is longer than the %d bytes signed" % (entry["role"], entry["size"])
            )
        intake = self.banks.intake(self.bank, entry)
        try:
            await intake.catch_up(self.clock.breathe)
            await self._fetch_rest(urls, intake, tries)
        except TooLong as error:
            raise Spoiled("%s: %s" % (entry["role"], error))
        finally:
            intake.close()
        if not intake.matches():
            raise Spoiled("%s: its sha256 is not the one that was signed" % entry["role"])

    async def _fetch_rest(self, urls: "list[str]", intake: "Intake", tries: int) -> None:
        attempt = self.retries.restarts  # another server may have the right bytes
        last = attempt + tries - 1
        while intake.offset < intake.wanted:
            start = intake.offset
            url = "%s/%s" % (urls[attempt % len(urls)].rstrip("/"), intake.sha256)
            problem = FetchError("the server sent too little")
            try:
                await self.fetcher.fetch(url, intake)
            except FetchError as error:
                problem = error
            if intake.offset == intake.wanted:
                return
            attempt += 1
            if intake.offset - start >= PROGRESS_BYTES:
                self.retries.forget()
                last += 1
                continue
            reason = "download: %s, after %d of %d bytes" % (problem, intake.offset, intake.wanted)
            if tries and attempt > last:
                raise problem
            if not await self.retries.wait(reason, problem.retry_after):
                raise problem


async def damage(banks: "Banks", bank: int, files: "list[Document]", breathe: "Breathe") -> str:
    """Hashes `files` (the manifest's entries) in `bank`. Returns "" if all are as they were
    signed, else what is wrong with the first bad one. Raises OSError if a file is there and cannot
    be read: that may pass, and says nothing about its bytes."""
    for entry in files:
        size = banks.size(bank, entry["role"])
        problem = "it has %d bytes, %d were signed" % (size, entry["size"])
        if size == entry["size"]:  # else it is not read: it may have no end
            digest = hashlib.sha256()
            await hash_file(banks.path(bank, entry["role"]), digest, breathe)
            if hexed(digest) == entry["sha256"]:
                continue
            problem = "its sha256 is not the one that was signed"
        return "%s of bank %s: %s" % (entry["role"], NAMES[bank], problem)
    return ""
