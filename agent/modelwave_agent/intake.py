"""The way of a file's bytes into a bank: they are hashed as they pass."""

import hashlib

from modelwave_agent.journal import sync
from modelwave_shared.digests import hexed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _hashlib import HASH

    from modelwave_agent.types import Breathe, Document
    from modelwave_shared.golden import Buffer

CHUNK_BYTES = 1024  # hashed at a time


class TooLong(Exception):
    """More bytes came than were signed."""


class Intake:
    """Takes the bytes of one file, never more than were signed."""

    def __init__(self, path: str, offset: int, entry: "Document") -> None:
        """Opens the file `path`, to go on at `offset`, which is its length. `entry`: what the
        manifest says of the file. `catch_up` comes before the first `write`."""
        self.path = path
        self.offset = offset
        self.wanted: int = entry["size"]
        self.sha256: str = entry["sha256"]
        self.digest = hashlib.sha256()
        self.synced = offset
        self.file = open(path, "ab")  # noqa: SIM115 (close() is the caller's finally)

    async def catch_up(self, breathe: "Breathe") -> None:
        """Hashes what the file has already."""
        if self.offset:
            await hash_file(self.path, self.digest, breathe)

    def write(self, data: "Buffer") -> None:
        """Appends `data` (bytes-like). Raises TooLong before a byte too many is written.

        Whenever the file has doubled it is brought to the medium: littlefs and FAT know of a
        file only what was synced, so a power cut costs half of a download at most, and on
        FAT, which nobody repairs on a board, no room."""
        if self.offset + len(data) > self.wanted:
            raise TooLong("more than the %d bytes signed" % self.wanted)
        self.file.write(data)
        self.digest.update(data)
        self.offset += len(data)
        if self.offset >= 2 * self.synced:
            sync(self.file)
            self.synced = self.offset

    def close(self) -> None:
        """Returns when the bytes are on the medium."""
        try:
            sync(self.file)
        finally:
            self.file.close()

    def matches(self) -> bool:
        """Whether all bytes have come and are those that were signed; ends the hashing."""
        return self.offset == self.wanted and hexed(self.digest) == self.sha256


async def hash_file(path: str, digest: "HASH", breathe: "Breathe") -> None:
    """Feeds the bytes of the file `path` to `digest`, and lets others run meanwhile."""
    buffer = bytearray(CHUNK_BYTES)
    view = memoryview(buffer)
    with open(path, "rb") as file:
        while True:
            got = file.readinto(buffer)
            if not got:
                return
            digest.update(view[:got])
            await breathe()
