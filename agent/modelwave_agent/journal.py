"""The journal: two files that are written in turn; the newest complete record counts.

Both files are created once, with their full length. A write goes to the file that does not hold
the newest record, so a power cut during a write loses only this write. A write never creates,
renames or extends a file, so it is safe on FAT too, where a rename is not atomic.

    MWJ1 COUNTER LENGTH SHA256\\n JSON padding

COUNTER has 16 hex digits and grows by 1 with each write, LENGTH is the JSON's length in 8 hex
digits, SHA256 covers everything before it and the JSON.
"""

import json
import os

from modelwave_shared.digests import hexdigest
from modelwave_shared.limits import MAX_JOURNAL_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any

ENOENT = 2
_PIECE_BYTES = 256
_HEX_DIGITS = b"0123456789abcdef"
_HEAD_BYTES = 4 + 1 + 16 + 1 + 8 + 1 + 64 + 1


class Journal:
    """Stores one dict durably, in at most MAX_JOURNAL_BYTES. Raises OSError if a file operation
    fails."""

    def __init__(self, folder: str, name: str) -> None:
        """Creates the files if they are missing. `folder` must exist."""
        self.paths = ["%s/%s.%d" % (folder, name, number) for number in (0, 1)]
        for path in self.paths:
            if _length(path) < MAX_JOURNAL_BYTES:
                _create(path)
        self.counter = 0
        self.newest = 1

    def read(self) -> "dict[str, Any] | None":
        """Returns the newest complete record, or None if nothing was written yet."""
        best = None
        self.counter, self.newest = 0, 1
        for number, path in enumerate(self.paths):
            with open(path, "rb") as file:
                found = _read(file)
            if found and found[0] > self.counter:
                self.counter, best = found
                self.newest = number
        return best

    def write(self, record: "dict[str, Any]") -> None:
        """Writes `record`; it is durable on return. Call `read` once before."""
        body = json.dumps(record).encode()
        head = ("MWJ1 %016x %08x " % (self.counter + 1, len(body))).encode()
        data = head + hexdigest(head + body).encode() + b"\n" + body
        if len(data) > MAX_JOURNAL_BYTES:
            raise ValueError("journal: a record of %d bytes" % len(data))
        with open(self.paths[1 - self.newest], "r+b") as file:
            file.write(data)
            sync(file)
        self.newest = 1 - self.newest
        self.counter += 1


def sync(file: "IO[bytes]") -> None:
    """Brings everything that was written to `file` onto the medium."""
    file.flush()
    if hasattr(os, "fsync"):
        os.fsync(file.fileno())
    elif hasattr(os, "sync"):
        os.sync()


def _create(path: str) -> None:
    with open(path, "wb") as file:
        for _ in range(MAX_JOURNAL_BYTES // _PIECE_BYTES):
            file.write(bytes(_PIECE_BYTES))
        sync(file)


def _length(path: str) -> int:
    """Returns the file's length, 0 if there is no file. Any other error is raised, so that it is
    not taken for a missing file."""
    try:
        return os.stat(path)[6]
    except OSError as error:
        if error.args[0] != ENOENT:
            raise
        return 0


def _read(file: "IO[bytes]") -> "tuple[int, dict[str, Any]] | None":
    """Returns (counter, record), or None if `file` holds no complete record."""
    head = file.read(_HEAD_BYTES)
    if head[:5] != b"MWJ1 " or head[-1:] != b"\n":
        return None
    counter, length = head[5:21], head[22:30]
    # int() would also take a sign, spaces and underscores.
    if counter.strip(_HEX_DIGITS) or length.strip(_HEX_DIGITS):
        return None
    body_bytes = int(length, 16)
    if body_bytes > MAX_JOURNAL_BYTES - _HEAD_BYTES:
        return None
    body = file.read(body_bytes)
    if len(body) != body_bytes or hexdigest(head[:31] + body).encode() != head[31:-1]:
        return None
    return int(counter, 16), json.loads(body)
