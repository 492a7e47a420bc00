"""The files that one board asks for in one session.

A file comes from the store, which fetches it if it is not there: over HTTP from the URL that the
board gives, whose host is checked (place.py) and whose last part must be the file's sha256, so that
a board cannot have the gateway ask for anything else; or without a URL in blocks from the
controller, over the board's own connection to the broker.
"""

import asyncio
import contextlib
from typing import BinaryIO

from modelwave_agent import ports
from modelwave_agent.block_fetcher import BlockFetcher
from modelwave_agent.host.relay.allowance import Allowance
from modelwave_agent.host.relay.board_log import BoardLog
from modelwave_agent.host.relay.store import FileStore
from modelwave_agent.host.relay.types import BoardLine, BoardLink, HttpFetcher
from modelwave_agent.intake import Intake
from modelwave_agent.ports import Clock, FetchError, LinkLost
from modelwave_shared import fields, topics
from modelwave_shared import line_messages as messages
from modelwave_shared.errors import DocumentError
from modelwave_shared.limits import MAX_TEXT
from modelwave_shared.line_messages import MAX_RETRY_SECONDS, PIECE_BYTES

MAX_AT_ONCE = 2  # downloads of one board; its agent asks for one at a time


class Downloads:
    """The running downloads of a session. `link`: the board's, to the broker."""

    def __init__(
        self,
        line: BoardLine,
        link: BoardLink,
        fleet: str,
        device: str,
        store: FileStore,
        http: HttpFetcher,
        allowed: Allowance,
        log: BoardLog,
        clock: Clock,
    ) -> None:
        self.line = line
        self.store = store
        self.http = http
        self.allowed = allowed
        self.log = log
        self.block_topic = topics.file_block(fleet, device)
        self._link = link
        self.blocks = BlockFetcher(_Publisher(link), fleet, device, clock)
        self._running: dict[int, asyncio.Task[None]] = {}

    async def begin(self, number: int, sha256: bytes, size: int, offset: int, url: str) -> None:
        """Begins to send a file. A number that is in use means the newer download."""
        self.stop(number)
        if len(self._running) >= MAX_AT_ONCE:
            return await self._end(number, "the board asks for too many files at once")
        task = asyncio.create_task(self._run(number, sha256.hex(), size, offset, url))
        self._running[number] = task
        task.add_done_callback(lambda done: self._forget(number, done))

    def stop(self, number: int) -> None:
        if task := self._running.pop(number, None):
            task.cancel()

    async def close(self) -> None:
        """Ends all of them."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, number: int, done: "asyncio.Task[None]") -> None:
        if self._running.get(number) is done:
            del self._running[number]
        if not done.cancelled() and (error := done.exception()):
            self.log.warning(f"a download failed: {type(error).__name__}: {error}")

    async def _run(self, number: int, sha256: str, size: int, offset: int, url: str) -> None:
        try:
            await self._send(number, sha256, size, offset, url)
        except LinkLost:
            pass  # the session ends
        except FetchError as error:
            self.log.warning(f"file {sha256[:12]}: {error}")
            await self._tell(number, str(error), error.retry_after)
        except OSError as error:
            await self._tell(number, f"the gateway cannot read the file: {error.strerror}")
        else:
            await self._tell(number, "")

    async def _send(self, number: int, sha256: str, size: int, offset: int, url: str) -> None:
        await self.allowed.take()
        if offset > size:
            raise FetchError(f"there is no byte {offset} in {size} bytes")
        if url:
            _check_url(url, sha256)

        async def bring(intake: Intake) -> None:
            await (self.http.fetch(url, intake) if url else self._bring_blocks(intake))

        with await self.store.opened(sha256, size, bring) as file:
            await self._send_from(number, file, offset)

    async def _send_from(self, number: int, file: BinaryIO, offset: int) -> None:
        file.seek(offset)
        while data := file.read(PIECE_BYTES):
            await self.line.send(messages.pack(messages.PIECE, number, offset, data))
            offset += len(data)

    async def _bring_blocks(self, intake: Intake) -> None:
        try:
            if await self._link.denied([self.block_topic]):
                raise FetchError("the broker does not let the board read its blocks of files")
        except LinkLost as error:
            raise FetchError(f"not connected to the broker: {error}") from error
        await self.blocks.fetch("", intake)

    async def _tell(self, number: int, problem: str, retry_after: float = 0) -> None:
        with contextlib.suppress(LinkLost):  # the session ends
            await self._end(number, problem, retry_after)

    async def _end(self, number: int, problem: str, retry_after: float = 0) -> None:
        seconds = int(min(retry_after, MAX_RETRY_SECONDS))
        await self.line.send(messages.pack(messages.FETCHED, number, seconds, shortened(problem)))


def _check_url(url: str, sha256: str) -> None:
    """Raises FetchError for one that no order and digest make. In a query or fragment the digest
    would be no part of the path."""
    where = url.removesuffix("/" + sha256)
    if where == url:
        raise FetchError("the URL does not end with the file's sha256")
    try:
        fields.url(where, "url")
    except DocumentError as error:
        raise FetchError("the URL is not an http or https URL as an order has it") from error


class _Publisher(ports.BrokerLink):
    """Ends a download in blocks when the connection is lost: another board may be waiting."""

    def __init__(self, link: BoardLink) -> None:
        self.link = link

    async def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        try:
            await self.link.publish(topic, payload, retain)
        except LinkLost as error:
            raise FetchError(f"not connected to the broker: {error}") from error


def shortened(text: str) -> str:
    """Returns the text with at most MAX_TEXT bytes in UTF-8, and no control characters."""
    clean = "".join(c if c.isprintable() else "?" for c in text)
    return clean.encode()[:MAX_TEXT].decode("utf-8", "ignore")
