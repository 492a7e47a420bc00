"""The files that boards ask for, each fetched once and kept for all of them.

A file is known by its sha256, which is its name in the folder. While it comes it is
SHA256.SIZE.part; a fetch that was cut goes on at its end, for whichever board asks next. Only what
has the right hash gets its name; what has another one is deleted, and the board is told. A file
that was there when the gateway started is hashed before it is given out.

Kept are `keep_bytes` at most: the file that was used longest ago goes first. What is being fetched
may take as much again; then a fetch fails, and the board tries again later. So it does if the disk
is full, and each time one kept file goes for it.
"""

import asyncio
import contextlib
import errno
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, BinaryIO

from modelwave_agent.host.apart import apart
from modelwave_agent.host.digests import sha256_of
from modelwave_agent.host.faults import in_words
from modelwave_agent.host.log import logger
from modelwave_agent.intake import Intake, TooLong
from modelwave_agent.journal import file_length
from modelwave_agent.ports import FetchError

MAX_FILES = 1024
AT_ONCE = 32  # fetches; each over HTTP has a thread
_NAME = re.compile(r"[0-9a-f]{64}(\.\d{1,10}\.part)?")

Bring = Callable[[Intake], Awaitable[None]]


class FileStore:
    """The kept files of one gateway."""

    def __init__(self, folder: Path, keep_bytes: int) -> None:
        """Makes the folder, which is the gateway's own. Raises OSError."""
        self.folder = folder
        self.keep_bytes = keep_bytes
        self.fetched = 0  # files, in this life
        self._hashed: set[str] = set()  # those that are known to be whole
        self._turns: dict[Path, asyncio.Lock] = {}
        self._waiting: Counter[Path] = Counter()  # for their turn, or in it
        self._coming: dict[Path, Intake] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        folder.mkdir(parents=True, exist_ok=True)
        self._tidy()

    async def opened(self, sha256: str, size: int, bring: Bring) -> BinaryIO:
        """Returns the file, to be read and closed by the caller. If it is not there, `bring`
        fetches what is missing of it. Raises FetchError, also for a hash that is wrong."""
        if size > self.keep_bytes:
            raise FetchError(
                f"the gateway keeps {self.keep_bytes} bytes, and the file has {size}: raise"
                " keep_bytes under [files] in relay.toml"
            )
        part = self.folder / f"{sha256}.{size}.part"
        try:
            async with self._turn(part):
                found = await self._kept(sha256, size)
                return found or await self._brought(part, sha256, size, bring)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                self._make_room()
            raise FetchError(f"the gateway cannot keep the file: {in_words(error)}") from error

    async def _kept(self, sha256: str, size: int) -> BinaryIO | None:
        path = self.folder / sha256
        if not path.exists():
            return None
        if sha256 not in self._hashed and await apart(lambda: sha256_of(path)) != sha256:
            logger.warning("kept file %s: its bytes have changed; it is fetched anew", sha256[:12])
            path.unlink(missing_ok=True)
            return None
        self._hashed.add(sha256)
        os.utime(path)
        file = path.open("rb")
        if (length := os.fstat(file.fileno()).st_size) != size:
            file.close()
            raise FetchError(f"the file has {length} bytes, not {size}")
        return file

    async def _brought(self, part: Path, sha256: str, size: int, bring: Bring) -> BinaryIO:
        async with self._slots:
            try:
                await self._fetch(part, sha256, size, bring)
                self._hashed.add(sha256)
                path = part.rename(self.folder / sha256)
                self.fetched += 1
                logger.info("file %s: %d bytes fetched", sha256[:12], size)
                return path.open("rb")
            finally:
                self._tidy()

    async def _fetch(self, part: Path, sha256: str, size: int, bring: Bring) -> None:
        """Makes the part whole. Raises FetchError, and then deletes it if it cannot become so."""
        entry = {"sha256": sha256, "size": size}
        intake = self._coming[part] = _Coming(str(part), entry, self._require_room)
        try:
            await intake.catch_up(lambda: asyncio.sleep(0))
            if intake.offset < size:
                await bring(intake)
            if intake.offset < size:
                raise FetchError("the server sent too little")
        except TooLong as error:
            part.unlink(missing_ok=True)
            raise FetchError(str(error)) from error
        finally:
            del self._coming[part]
            intake.close()
        if not intake.matches():
            part.unlink(missing_ok=True)
            raise FetchError("its sha256 is not the one that was signed")

    def _require_room(self, more: int) -> None:
        """Called by the threads of fetches. Raises FetchError."""
        if sum(one.offset for one in list(self._coming.values())) + more > self.keep_bytes:
            raise FetchError("the gateway fetches too many other files at the moment")

    @contextlib.asynccontextmanager
    async def _turn(self, part: Path) -> AsyncIterator[None]:
        """One at a time for each file, so that it is fetched once."""
        lock = self._turns.setdefault(part, asyncio.Lock())
        self._waiting[part] += 1
        try:
            async with lock:
                yield
        finally:
            self._waiting[part] -= 1
            if not self._waiting[part]:
                del self._waiting[part], self._turns[part]

    def _tidy(self) -> None:
        """Deletes what was used longest ago, until what is left is within the limits."""
        left, files = self.keep_bytes, MAX_FILES
        for stat, entry in self._newest_first():
            left, files = left - stat.st_size, files - 1
            if left < 0 or files < 0 or not stat.st_size:
                self._delete(entry)

    def _make_room(self) -> None:
        """On a full disk: deletes the parts that nobody fetches, and what was used longest ago."""
        with contextlib.suppress(OSError):
            there = [entry for _, entry in self._newest_first()]
            parts = [entry for entry in there if entry.name.endswith(".part")]
            kept = [entry for entry in there if entry not in parts]
            for entry in [*parts, *kept[-1:]]:
                self._delete(entry)

    def _newest_first(self) -> list[tuple[os.stat_result, os.DirEntry[str]]]:
        """Returns what is not being fetched, by when it was used."""
        found = [entry for entry in os.scandir(self.folder) if _NAME.fullmatch(entry.name)]
        coming = {path.name for path in self._coming}
        return sorted(
            ((entry.stat(), entry) for entry in found if entry.name not in coming),
            key=lambda pair: pair[0].st_mtime_ns,
            reverse=True,
        )

    def _delete(self, entry: os.DirEntry[str]) -> None:
        Path(entry.path).unlink(missing_ok=True)
        self._hashed.discard(entry.name)


class _Coming(Intake):
    """The intake of a file that is being fetched."""

    def __init__(self, path: str, entry: dict[str, Any], room: Callable[[int], None]) -> None:
        super().__init__(path, file_length(path), entry)
        self._room = room

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._room(len(data))
        super().write(data)
