"""The two banks of one model, as files: `a.model`, `a.golden`, `a.labels`, `b.model`, …

A file's length is the only offset of a download. What a bank holds is the journal's to
say; a bank alone proves nothing until its files were hashed.
"""

import binascii
import hashlib
import os

from modelwave_agent.journal import sync
from modelwave_shared.words import FILE_ROLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _hashlib import HASH
    from collections.abc import Generator, Iterator
    from io import BufferedReader

    from modelwave_shared.fields import Document
    from modelwave_shared.golden import Buffer

NAMES = "ab"
CHUNK_BYTES = 4096  # hashed at a time
# A bank that fills the medium would leave the journal no room: littlefs copies a block
# before it writes to it. Three files rounded up, two journals and their folders.
RESERVE_BLOCKS = 8


class TooLong(Exception):
    """More bytes came than were signed."""


class Banks:
    """Raises OSError as the files do."""

    def __init__(self, folder: str, limit_bytes: int = 0) -> None:
        """`folder` exists. `limit_bytes`: what one bank may hold, 0 for what is free."""
        self.folder = folder
        self.limit_bytes = limit_bytes

    def path(self, bank: int, role: str) -> str:
        return "%s/%s.%s" % (self.folder, NAMES[bank], role)

    def size(self, bank: int, role: str) -> int:
        """Bytes that the file has; 0 where there is none."""
        try:
            return os.stat(self.path(bank, role))[6]
        except OSError:
            return 0

    def room(self, bank: int) -> int:
        """Bytes that `bank` could hold once it is cleared, RESERVE_BLOCKS left alone."""
        try:
            stat = os.statvfs(self.folder)
        except OSError:
            return 0  # nothing can be kept on a medium that does not answer
        # f_frsize × f_bavail: the same places of the tuple on both Pythons.
        free = stat[1] * (stat[4] - RESERVE_BLOCKS)
        room = max(0, free + sum(self.size(bank, role) for role in FILE_ROLES))
        return min(room, self.limit_bytes) if self.limit_bytes else room

    def clear(self, bank: int) -> None:
        """Empties it; what comes next is written to new files."""
        for role in FILE_ROLES:
            try:
                os.remove(self.path(bank, role))
            except OSError:
                if self.size(bank, role):
                    raise

    def intake(self, bank: int, entry: "Document") -> "Intake":
        return Intake(self.path(bank, entry["role"]), self.size(bank, entry["role"]), entry)

    def whole(self, bank: int, files: "list[Document]") -> "Generator[None, None, str]":
        """A generator that yields now and then while it hashes, and returns "" if all
        `files` (the manifest's entries) are there, or what is wrong."""
        for entry in files:
            digest = hashlib.sha256()
            try:
                with open(self.path(bank, entry["role"]), "rb") as file:
                    yield from _feed(file, digest)
            except OSError as error:
                return "%s of bank %s: %s" % (entry["role"], NAMES[bank], error)
            if _hex(digest) != entry["sha256"]:
                return "%s of bank %s: its sha256 differs" % (entry["role"], NAMES[bank])
        return ""


class Intake:
    """The way of one file's bytes into a bank: hashed as they pass, never more than signed."""

    def __init__(self, path: str, offset: int, entry: "Document") -> None:
        """Opens the file to go on at `offset`, what it has; `catch_up` comes first."""
        self.path = path
        self.offset = offset
        self.wanted: int = entry["size"]
        self.sha256: str = entry["sha256"]
        self.digest = hashlib.sha256()
        self.file = open(path, "ab")  # noqa: SIM115 (close() is the caller's finally)

    def catch_up(self) -> "Iterator[None]":
        """Hashes what the file has already; a generator that yields now and then."""
        if self.offset:
            with open(self.path, "rb") as file:
                yield from _feed(file, self.digest)

    def write(self, data: "Buffer") -> None:
        """`data`: bytes-like. Raises TooLong before a byte too many is written."""
        if self.offset + len(data) > self.wanted:
            raise TooLong("more than the %d bytes signed" % self.wanted)
        self.file.write(data)
        self.digest.update(data)
        self.offset += len(data)

    def close(self) -> None:
        """Returns when the bytes are on the medium."""
        try:
            sync(self.file)
        finally:
            self.file.close()

    def matches(self) -> bool:
        """Whether all has come and is what was signed; ends the hashing."""
        return self.offset == self.wanted and _hex(self.digest) == self.sha256


def _feed(file: "BufferedReader", digest: "HASH") -> "Generator[None, None, None]":
    buffer = bytearray(CHUNK_BYTES)
    view = memoryview(buffer)
    while True:
        got = file.readinto(buffer)
        if not got:
            return
        digest.update(view[:got])
        yield


def _hex(digest: "HASH") -> str:
    return binascii.hexlify(digest.digest()).decode()
