"""Lists and reads the files in a zip from untrusted bytes, within limits.

A zip ends with a directory: an entry for each file (name, sizes, position), and an end record
that says where the directory begins. Other bytes may precede a zip, for example a model.

Python's zipfile makes an object for each entry before a caller can count them. Here entries,
their names and what is unpacked are limited before they are read."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct, error, unpack_from

MAX_ENTRIES = 256
_MAX_COMMENT_BYTES = 65_535
_MAX_NAME_BYTES = 500  # longer ones are cut off

_END = Struct("<4s4H2IH")  # …, entries, bytes of the directory, its position, bytes of a comment
_ENTRY = Struct("<4s6H3I5H2I")
_LOCAL = Struct("<4s5H3I2H")
_END_MAGIC, _ENTRY_MAGIC, _LOCAL_MAGIC = b"PK\5\6", b"PK\1\2", b"PK\3\4"
_ENCRYPTED = 1
_STORED, _DEFLATED = 0, 8


class ZipError(ValueError):
    """There is no zip, or it is damaged or exceeds our limits; the text says which."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file in a zip; `at` is the position of its local header in the data, in bytes."""

    name: str
    method: int
    encrypted: bool
    crc: int
    packed_bytes: int
    bytes: int
    at: int


def entries(data: bytes) -> list[Entry]:
    """Returns the entries of the zip that `data` ends with. Raises ZipError."""
    end = data.rfind(_END_MAGIC, max(0, len(data) - _END.size - _MAX_COMMENT_BYTES))
    if end < 0 or end + _END.size > len(data):
        raise ZipError("no zip: its end record is missing")
    _, _, _, _, count, size, position, _ = _END.unpack_from(data, end)
    start = end - size
    if count > MAX_ENTRIES:
        raise ZipError(f"a zip of {count} files, {MAX_ENTRIES} at most")
    if start < position:
        raise ZipError("a damaged zip: its directory is outside the file")
    # Some programs count positions from the file's first byte, others from the zip's.
    found = list(_directory(data, start, end, start - position))
    if len(found) != count:
        raise ZipError(f"a damaged zip: {len(found)} of {count} files are in its directory")
    return found


def _directory(data: bytes, at: int, end: int, shift: int) -> Iterator[Entry]:
    while at + _ENTRY.size <= end:
        fields = _ENTRY.unpack_from(data, at)
        magic, _, _, flags, method, _, _, crc, packed, size, name, extra, comment = fields[:13]
        if magic != _ENTRY_MAGIC:
            return
        first = at + _ENTRY.size
        text = data[first : first + min(name, _MAX_NAME_BYTES)].decode("utf-8", "replace")
        encrypted = bool(flags & _ENCRYPTED)
        yield Entry(text, method, encrypted, crc, packed, size, fields[-1] + shift)
        at = first + name + extra + comment


def read(data: bytes, entry: Entry, limit: int) -> bytes:
    """Returns the contents of a file of the zip. Raises ZipError if it is damaged or encrypted or
    has more than `limit` bytes; no more than these are unpacked."""
    if entry.bytes > limit:
        raise ZipError(f"{entry.name} has {entry.bytes} bytes, {limit} at most")
    if entry.encrypted or entry.method not in (_STORED, _DEFLATED):
        raise ZipError(f"{entry.name} is packed in a way that is not read here")
    packed = _packed(data, entry)
    contents = packed
    if entry.method == _DEFLATED:
        try:
            contents = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, limit + 1)
        except zlib.error as why:
            raise ZipError(f"{entry.name} is damaged: {why}") from why
    if len(contents) != entry.bytes or zlib.crc32(contents) != entry.crc:
        raise ZipError(f"{entry.name} is damaged: its length or checksum differs")
    return contents


def _packed(data: bytes, entry: Entry) -> bytes:
    try:
        magic, *_, name, extra = _LOCAL.unpack_from(data, entry.at)
    except error as why:
        raise ZipError(f"{entry.name} is outside the file") from why
    start = entry.at + _LOCAL.size + name + extra
    if magic != _LOCAL_MAGIC or start + entry.packed_bytes > len(data):
        raise ZipError(f"{entry.name} is outside the file")
    return data[start : start + entry.packed_bytes]


def names(head: bytes, tail: bytes) -> set[str]:
    """Returns names of files of a zip, some may be missing, from a file's first and last bytes."""
    found = set()
    for part, magic, size, place in (
        (head, _LOCAL_MAGIC, _LOCAL.size, 26),
        (tail, _ENTRY_MAGIC, _ENTRY.size, 28),
    ):
        at = part.find(magic)
        while 0 <= at <= len(part) - size:
            (length,) = unpack_from("<H", part, at + place)
            length = min(length, _MAX_NAME_BYTES)
            found.add(part[at + size : at + size + length].decode("utf-8", "replace"))
            at = part.find(magic, at + 4)
    return found
