"""Bytes on their way into a bank, hashed as they pass, and those that are there, hashed again."""

import hashlib

from modelwave_agent.banks import NAMES
from modelwave_agent.journal import sync
from modelwave_shared.digests import hexed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _hashlib import HASH
    from collections.abc import Generator, Iterator
    from io import BufferedReader

    from modelwave_agent.banks import Banks
    from modelwave_shared.fields import Document
    from modelwave_shared.golden import Buffer

CHUNK_BYTES = 1024  # hashed at a time


class TooLong(Exception):
    """More bytes came than were signed."""


class Intake:
    """The way of one file's bytes into a bank: hashed as they pass, never more than signed."""

    def __init__(self, path: str, offset: int, entry: "Document") -> None:
        """Opens the file to go on at `offset`, what it has; `catch_up` comes first."""
        self.path = path
        self.offset = offset
        self.wanted: int = entry["size"]
        self.sha256: str = entry["sha256"]
        self.digest = hashlib.sha256()
        self.synced = offset
        self.file = open(path, "ab")  # noqa: SIM115 (close() is the caller's finally)

    def catch_up(self) -> "Iterator[None]":
        """Hashes what the file has already; a generator that yields now and then."""
        if self.offset:
            with open(self.path, "rb") as file:
                yield from _feed(file, self.digest)

    def write(self, data: "Buffer") -> None:
        """`data`: bytes-like. Raises TooLong before a byte too many is written.

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
        """Whether all has come and is what was signed; ends the hashing."""
        return self.offset == self.wanted and hexed(self.digest) == self.sha256


def _feed(file: "BufferedReader", digest: "HASH") -> "Generator[None, None, None]":
    buffer = bytearray(CHUNK_BYTES)
    view = memoryview(buffer)
    while True:
        got = file.readinto(buffer)
        if not got:
            return
        digest.update(view[:got])
        yield


def whole(banks: "Banks", bank: int, files: "list[Document]") -> "Generator[None, None, str]":
    """A generator that yields now and then while it hashes, and returns "" if all `files`
    (the manifest's entries) are in `bank`, or what is wrong."""
    for entry in files:
        digest = hashlib.sha256()
        problem = ""
        try:
            with open(banks.path(bank, entry["role"]), "rb") as file:
                yield from _feed(file, digest)
        except OSError as error:
            problem = str(error)
        if not problem and hexed(digest) != entry["sha256"]:
            problem = "its sha256 differs"
        if problem:
            return "%s of bank %s: %s" % (entry["role"], NAMES[bank], problem)
    return ""
