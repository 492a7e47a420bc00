"""Writes the received bytes of a file into a bank, and hashes them meanwhile."""

import hashlib

from modelwave_agent.journal import sync, sync_name
from modelwave_shared.digests import hexed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _hashlib import HASH

    from modelwave_agent.types import Breathe, Document
    from modelwave_shared.golden import Buffer

CHUNK_BYTES = 1024  # hashed at a time


class TooLong(Exception):
    """More bytes came than the signed size."""


class Intake:
    """Writes the bytes of one file, and never more than its signed size."""

    def __init__(self, path: str, offset: int, entry: "Document") -> None:
        """Opens the file `path`, to append at `offset`, which is its length. `entry`: the file's
        entry in the manifest. Call `catch_up` before the first `write`."""
        self.path = path
        self.offset = offset
        self.wanted: int = entry["size"]
        self.sha256: str = entry["sha256"]
        self.digest = hashlib.sha256()
        self.synced = 0  # of what is there, a program that was killed may not have synced all
        self.is_named = False  # whether its name was synced, too
        self.file = open(path, "ab")  # noqa: SIM115 (close() is the caller's finally)

    async def catch_up(self, breathe: "Breathe") -> None:
        """Hashes the bytes that the file has already."""
        if self.offset:
            await hash_file(self.path, self.digest, breathe)

    def write(self, data: "Buffer") -> None:
        """Appends `data` (bytes-like). Raises TooLong, and writes nothing, if it is too much.

        Each time the file has doubled in size, it is synced: after a power cut, littlefs and FAT
        know only the synced part of a file. So a power cut loses at most half of a download,
        and on FAT, which no board repairs, no free space."""
        if self.offset + len(data) > self.wanted:
            raise TooLong("more than the %d bytes signed" % self.wanted)
        self.file.write(data)
        self.digest.update(data)
        self.offset += len(data)
        if self.offset >= 2 * self.synced:
            sync(self.file)
            self.synced = self.offset
            if not self.is_named:
                sync_name(self.path)
                self.is_named = True

    def close(self) -> None:
        """Syncs and closes the file."""
        try:
            sync(self.file)
        finally:
            self.file.close()

    def matches(self) -> bool:
        """Whether the file is complete and as it was signed. Call it once, at the end."""
        return self.offset == self.wanted and hexed(self.digest) == self.sha256


async def hash_file(path: str, digest: "HASH", breathe: "Breathe") -> None:
    """Adds the bytes of the file `path` to `digest`, and lets other tasks run meanwhile."""
    buffer = bytearray(CHUNK_BYTES)
    view = memoryview(buffer)
    with open(path, "rb") as file:
        while True:
            got = file.readinto(buffer)
            if not got:
                return
            digest.update(view[:got])
            await breathe()
