"""Takes the file that a request sends, into a folder of the home that is removed when the request
was answered or refused. It is never wholly in memory.

Refused before a byte of it is read is what is too long by its own words, of another type, or for
which the disk or this service has no room; who waits for `100 Continue` sends nothing then. Whoever
sends too slowly is ended.
"""

import asyncio
import contextlib
import hashlib
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from aiohttp import web

from modelwave_controller import disk
from modelwave_controller.api.call import OCTETS, Sent
from modelwave_controller.errors import (
    BusyError,
    ContentTypeError,
    OperatorError,
    StorageError,
    TooLargeError,
)
from modelwave_controller.people.roles import Person

MAX_UPLOADS, MAX_OF_ONE = 3, 2  # all, and those of one person: each may take a thread for long
FULL_SECONDS = 10.0  # after which another one may find a place
SILENT_SECONDS = 30.0  # that who sends may be silent
FIRST_SECONDS, LEAST_BYTES_A_SECOND = 60.0, 16_384  # an upload may take the first, and its size
LEFT_BYTES = 256 << 20  # of the disk, which others need, first of all the database
_CHUNK, _LOOK_BYTES = 1 << 18, 16 << 20


class Taken(NamedTuple):
    file: Path
    sha256: str


class Uploads:
    """Use it in one event loop."""

    def __init__(self) -> None:
        self._under_way = Counter[str]()

    @contextlib.asynccontextmanager
    async def taken(
        self, request: web.Request, person: Person, sends: Sent, home: Path
    ) -> AsyncIterator[Taken]:
        """Yields the file, which is there until the end of the block. Raises OperatorError,
        StorageError."""
        length = _length(request, sends)
        with self._place(person):
            async with _work_folder(home) as folder:
                _require_room(folder, length * sends.copies)
                await _say_continue(request)
                path = folder / "sent"
                with await asyncio.to_thread(open, path, "wb") as file:
                    sha256 = await _written(request, file, sends, folder)
                yield Taken(path, sha256)

    @contextlib.contextmanager
    def _place(self, person: Person) -> Iterator[None]:
        if self._under_way.total() >= MAX_UPLOADS or self._under_way[person.name] >= MAX_OF_ONE:
            raise BusyError("too many files are being sent already", FULL_SECONDS)
        self._under_way[person.name] += 1
        try:
            yield
        finally:
            self._under_way[person.name] -= 1
            self._under_way += Counter()  # without names that have none


def _length(request: web.Request, sends: Sent) -> int:
    """Returns how long the body is by its own words, 0 if it does not say."""
    if not request.can_read_body:
        raise OperatorError(f"the body: empty; send this: {sends.what}")
    if request.content_type != OCTETS:
        raise ContentTypeError(f"Content-Type: send {OCTETS}")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ContentTypeError("Content-Encoding: send the body as it is")
    length = request.content_length or 0
    if length > sends.most:
        raise _too_long(sends)
    return length


def _too_long(sends: Sent) -> TooLargeError:
    return TooLargeError(f"the body: send at most {sends.most} bytes")


def _require_room(folder: Path, length: int) -> None:
    free = shutil.disk_usage(folder).free
    if free - length < LEFT_BYTES:
        raise StorageError(
            f"the home's disk has {free:,} bytes free, and {LEFT_BYTES:,} are left for the "
            "database: make room"
        )


async def _say_continue(request: web.Request) -> None:
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def _written(request: web.Request, file: BinaryIO, sends: Sent, folder: Path) -> str:
    loop = asyncio.get_running_loop()
    begun, size, looked, digest = loop.time(), 0, 0, hashlib.sha256()

    def write(chunk: bytes) -> None:
        digest.update(chunk)
        file.write(chunk)

    async for chunk in _chunks(request, sends):
        size += len(chunk)
        if loop.time() - begun > FIRST_SECONDS + size / LEAST_BYTES_A_SECOND:
            raise _too_slow(request)
        if size - looked >= _LOOK_BYTES:
            looked = size
            _require_room(folder, 0)
        await asyncio.to_thread(write, chunk)
    await asyncio.to_thread(file.flush)
    _require_room(folder, size * (sends.copies - 1))
    return digest.hexdigest()


async def _chunks(request: web.Request, sends: Sent) -> AsyncIterator[bytes]:
    """Yields the body in pieces that are worth a thread's work. Raises TooLargeError, and
    ConnectionError if who sends it ends it, or is silent."""
    collected, size = bytearray(), 0
    while True:
        try:
            async with asyncio.timeout(SILENT_SECONDS):
                piece = await request.content.readany()
        except TimeoutError:
            raise _too_slow(request) from None
        except web.RequestPayloadError as error:
            raise ConnectionResetError("the connection ended in the body") from error
        size += len(piece)
        if size > sends.most:
            raise _too_long(sends)
        collected += piece
        if len(collected) >= _CHUNK or (collected and not piece):
            yield bytes(collected)
            collected.clear()
        if not piece:
            return


def _too_slow(request: web.Request) -> ConnectionResetError:
    if request.transport is not None:
        request.transport.abort()
    return ConnectionResetError("the client sends too slowly")


@contextlib.asynccontextmanager
async def _work_folder(home: Path) -> AsyncIterator[Path]:
    folder = disk.work_folder(home, "upload")
    path = await asyncio.to_thread(folder.__enter__)
    try:
        yield path
    finally:
        await asyncio.to_thread(folder.__exit__, None, None, None)
