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
EINVAL = 22
W_OK = 2  # of os.access, which boards do not have
_PIECE_BYTES = 256
_HEX_DIGITS = b"0123456789abcdef"
_HEAD_BYTES = 4 + 1 + 16 + 1 + 8 + 1 + 64 + 1


class Journal:
    """Stores one dict durably. Raises OSError if a file operation fails."""

    def __init__(self, folder: str, name: str, limit: int = MAX_JOURNAL_BYTES) -> None:
        """Creates the files if they are missing, or else `write` does. `folder` must exist.
        `limit`: bytes of a record and of each file."""
        self.limit = limit
        self.paths = ["%s/%s.%d" % (folder, name, number) for number in (0, 1)]
        self.counter = 0
        self.newest = 1
        self.is_lost = False  # `read` found files that were written, but no whole record
        try:
            self._make()
        except OSError:
            pass  # what is there can be read all the same

    def read(self, key: str = "") -> "dict[str, Any] | None":
        """Returns the newest complete record, or None if there is none: nothing was written yet, or
        (`is_lost`) all of it is damaged. It is durable then, as far as the medium can be written:
        who has written it may have been killed before it was synced. `key`: one that each record of
        this journal has; a FAT whose table is damaged may give it the file of another journal."""
        best = None
        self.counter, self.newest = 0, 1
        written = 0
        for number, path in enumerate(self.paths):
            if not file_length(path):
                continue
            with open(path, "rb") as file:
                _settle(file)
                found = _read(file, self.limit)
                file.seek(0)
                written += bool(file.read(_HEAD_BYTES).strip(b"\0"))
            if found and found[0] > self.counter and (not key or key in found[1]):
                self.counter, best = found
                self.newest = number
        # Of a single file the very first write may have been cut.
        self.is_lost = best is None and written == len(self.paths)
        return best

    def write(self, record: "dict[str, Any]") -> None:
        """Writes `record`; it is durable on return. Call `read` once before."""
        body = json.dumps(record).encode()
        head = ("MWJ1 %016x %08x " % (self.counter + 1, len(body))).encode()
        data = head + hexdigest(head + body).encode() + b"\n" + body
        if len(data) > self.limit:
            raise ValueError("journal: a record of %d bytes" % len(data))
        if not file_length(self.paths[1 - self.newest]):
            self._make()
        with open(self.paths[1 - self.newest], "r+b") as file:
            file.write(data)
            sync(file)
        self.newest = 1 - self.newest
        self.counter += 1

    def problem(self) -> str:
        """Why nothing can be written, as far as that can be seen without a write; "" if it
        cannot."""
        for path in self.paths:
            try:
                if not file_length(path):
                    return "%s is gone" % path
            except OSError as error:
                return str(error)
            if hasattr(os, "access") and not os.access(path, W_OK):
                return "%s is read-only" % path
        return ""

    def _make(self) -> None:
        for path in self.paths:
            if file_length(path) < self.limit:
                _create(path, self.limit)


def sync(file: "IO[bytes]") -> None:
    """Brings everything that was written to `file` onto the medium."""
    file.flush()
    if hasattr(os, "fsync"):
        os.fsync(file.fileno())
    elif hasattr(os, "sync"):
        os.sync()


def sync_name(path: str) -> None:
    """Brings the names in the folder of `path` onto the medium. POSIX wants that of its own: a file
    that was synced may have no name after a power cut. Boards have no such call, nor need it."""
    if not hasattr(os, "fsync") or not hasattr(os, "open"):
        return
    folder = os.open(path.rpartition("/")[0] or ".", 0)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.args[0] != EINVAL:  # a file system that cannot sync a folder
            raise
    finally:
        os.close(folder)


def _settle(file: "IO[bytes]") -> None:
    """Brings the file `file` and its name onto the medium, if the medium can be written. A board
    that is reset has nothing that would wait for it."""
    if not hasattr(os, "fsync"):
        return
    try:
        sync(file)
        sync_name(file.name)
    except OSError:
        pass


def _create(path: str, size: int) -> None:
    """Makes the file anew. One that something has cut short behind a whole record is made longer
    only: that record may be the newest one."""
    kept = _kept(path, size)
    try:
        with open(path, "ab" if kept else "wb") as file:
            for start in range(kept, size, _PIECE_BYTES):
                file.write(bytes(min(_PIECE_BYTES, size - start)))
            sync(file)
        sync_name(path)
    except OSError:
        if not kept:
            _remove(path)  # else it would be taken for one that is on the medium
        raise


def _kept(path: str, limit: int) -> int:
    """Returns the file's length if it holds a whole record, 0 if not. Raises OSError."""
    length = file_length(path)
    if not length:
        return 0
    with open(path, "rb") as file:
        return length if _read(file, limit) else 0


def _remove(path: str) -> None:
    try:
        os.remove(path)
    except OSError:
        pass


def file_length(path: str) -> int:
    """Returns the file's length, 0 if there is no file. Any other error is raised, so that it is
    not taken for a missing file."""
    try:
        return os.stat(path)[6]
    except OSError as error:
        if error.args[0] != ENOENT:
            raise
        return 0


def _read(file: "IO[bytes]", limit: int) -> "tuple[int, dict[str, Any]] | None":
    """Returns (counter, record), or None if `file` holds no complete record."""
    head = file.read(_HEAD_BYTES)
    if head[:5] != b"MWJ1 " or head[-1:] != b"\n":
        return None
    counter, length = head[5:21], head[22:30]
    # int() would also take a sign, spaces and underscores.
    if counter.strip(_HEX_DIGITS) or length.strip(_HEX_DIGITS):
        return None
    body_bytes = int(length, 16)
    if body_bytes > limit - _HEAD_BYTES:
        return None
    body = file.read(body_bytes)
    if len(body) != body_bytes or hexdigest(head[:31] + body).encode() != head[31:-1]:
        return None
    return int(counter, 16), json.loads(body)
