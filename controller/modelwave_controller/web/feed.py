"""Reads the log once for all that follow it.

One task looks for the newest event, reads what is new, and keeps the newest events as they are
sent. A reader takes from there what is after its own place. So readers hold no thread, no
connection to the database and no queue each; one that falls behind what is kept reads pages of the
database, few readers at a time, until it is there again.
"""

import asyncio
import contextlib
import dataclasses
import json
import logging
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from modelwave_controller.errors import ModelwaveError
from modelwave_controller.operations import history
from modelwave_controller.operations.history import News
from modelwave_controller.results.log import LogEntry
from modelwave_controller.storage.log import Wanted
from modelwave_controller.storage.store import Store

LOOK_SECONDS = 0.5  # between two looks for the newest event
PAGE = 500  # events that are read in one go
KEPT = 2000  # events, as they are sent; without the devices' answers, and with them
PAGING = 2  # readers that read pages of the database at the same time

logger = logging.getLogger(__name__)


class Sent(NamedTuple):
    """What a reader is sent, and the id up to which it has everything then."""

    text: bytes
    until: int


class Kept:
    """The newest events in the form in which they are sent: all after the id `since`."""

    def __init__(self, since: int) -> None:
        self.since = self.until = since
        self._entries: list[LogEntry] = []
        self._texts: list[bytes] = []

    def add(self, news: News) -> None:
        self._entries += news.entries
        self._texts += map(framed, news.entries)
        self.until = news.until
        if (over := len(self._entries) - KEPT) > 0:
            self.since = self._entries[over - 1].id
            del self._entries[:over], self._texts[:over]

    def after(self, place: int, rollout: int | None) -> Sent | None:
        """Returns what is after the event `place`, of one rollout or of all; None: not all of it
        is kept."""
        if place < self.since:
            return None
        first = bisect_right(self._entries, place, key=lambda entry: entry.id)
        texts = self._texts[first:]
        if rollout is not None:
            its = [entry.rollout == rollout for entry in self._entries[first:]]
            texts = [text for text, wanted in zip(texts, its, strict=True) if wanted]
        return Sent(b"".join(texts), max(place, self.until))


class Feed:
    """Create it and use it in one event loop."""

    def __init__(self, reading: Callable[[], contextlib.AbstractContextManager[Store]]) -> None:
        self._reading = reading
        self._readers = {False: 0, True: 0}  # by whether they want the devices' answers
        self._kept: dict[bool, Kept] = {}
        self._looking: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._paging = asyncio.Semaphore(PAGING)
        self.closed = False

    def close(self) -> None:
        """Ends the look-out, and wakes all readers."""
        self.closed = True
        self._changed.set()
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    @contextlib.asynccontextmanager
    async def following(self, answers: bool) -> AsyncIterator[int]:
        """Follows the log as long as the block runs. Yields the id of the newest event."""
        newest = await asyncio.to_thread(self._newest)
        self._readers[answers] += 1
        self._kept.setdefault(answers, Kept(newest))
        if self._looking is None and not self.closed:
            self._looking = asyncio.create_task(self._look_out())
        try:
            yield newest
        finally:
            self._readers[answers] -= 1
            if not self._readers[answers]:
                self._kept.pop(answers, None)
            if not any(self._readers.values()) and self._looking is not None:
                self._looking.cancel()
                self._looking = None

    async def after(self, wanted: Wanted, place: int) -> Sent:
        """Returns the wanted events after the event `place`: some of them, if there are many."""
        kept = self._kept.get(wanted.answers)
        sent = kept.after(place, wanted.rollout) if kept else None
        if sent is not None:
            return sent
        async with self._paging:
            news = await asyncio.to_thread(self._page, wanted, place)
        return Sent(b"".join(map(framed, news.entries)), news.until)

    async def wait(self, seconds: float) -> None:
        """Waits until there is something new, but no longer than so many seconds. Between `after`
        and this nothing may be awaited."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    async def _look_out(self) -> None:
        while True:
            try:
                newest = await asyncio.to_thread(self._newest)
                for answers, kept in [*self._kept.items()]:
                    while kept.until < newest and self._kept.get(answers) is kept:
                        wanted = Wanted(answers=answers)
                        kept.add(await asyncio.to_thread(self._page, wanted, kept.until))
                        self._changed.set()
                        self._changed = asyncio.Event()
            except ModelwaveError as error:
                logger.warning("those who follow the log are told nothing new now: %s", error)
            await asyncio.sleep(LOOK_SECONDS)

    def _newest(self) -> int:
        with self._reading() as store:
            return history.newest_id(store)

    def _page(self, wanted: Wanted, place: int) -> News:
        with self._reading() as store:
            return history.after(store, wanted, place, PAGE)


def framed(entry: LogEntry) -> bytes:
    """Returns the event as one of Server-Sent Events."""
    return f"id: {entry.id}\ndata: {json.dumps(dataclasses.asdict(entry))}\n\n".encode()
