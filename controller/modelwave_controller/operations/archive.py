"""The form of a backup: one tar file, whose first entry is a manifest of all others.

    manifest.json    time, fleet, versions; name, size and sha256 of each other entry, in order
    modelwave.db     the database, if it is SQLite
    …                files of the home folder

`tar -xf` unpacks it. When modelwave reads one it trusts nothing in it: a name must be one of those
below, an entry must be an ordinary file, and exactly what the manifest says of it. So links, paths
that lead out of the folder and sizes beyond the limits are refused before they have an effect.
"""

import hashlib
import re
import tarfile
from collections.abc import Iterator
from typing import Annotated, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from modelwave_controller.errors import TrustError
from modelwave_controller.trust.field_types import first_problem

MANIFEST, DATABASE = "manifest.json", "modelwave.db"
MAX_ENTRIES = 100_000
MAX_MANIFEST_BYTES = 32 * 2**20
MAX_DOCUMENT_BYTES = 2**20  # of a file that is neither the database nor a model's
MAX_ENTRY_BYTES = 8 * 2**30 - 1  # the tar header has room for no more
_BLOCK = tarfile.BLOCKSIZE
_CHUNK_BYTES = 2**20

_WORD = r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}"
_DOCUMENT = re.compile(
    rf"controller\.toml|root\.json|roots/[1-9][0-9]{{0,9}}\.json|\.gitignore|{_WORD}\.(?:pem|crt)"
    rf"|(?:releases|signed)/{_WORD}/[0-9]{{1,10}}/{_WORD}\.json|targets/{_WORD}"
    rf"|deltas/{_WORD}/[0-9a-f]{{64}}\.json",
    re.ASCII,
)
_FILE = re.compile(r"files/[0-9a-f]{64}", re.ASCII)

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Read(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Entry(_Read):
    name: Annotated[str, StringConstraints(max_length=250)]
    size: Annotated[int, Field(ge=0, le=MAX_ENTRY_BYTES)]  # bytes
    sha256: Sha256


class Manifest(_Read):
    """`revision` is that of the database's schema, "" without a database; `files` says whether the
    models' files are in the backup."""

    format: Literal[1] = 1
    modelwave: Annotated[str, StringConstraints(max_length=100)]
    fleet: Annotated[str, StringConstraints(max_length=63)]
    made_at: Annotated[int, Field(ge=0, le=2**40)]  # Unix seconds
    revision: Annotated[str, StringConstraints(max_length=64)]
    files: bool
    entries: Annotated[tuple[Entry, ...], Field(max_length=MAX_ENTRIES, strict=False)]

    @property
    def size(self) -> int:
        return sum(entry.size for entry in self.entries)


class Damaged(Exception):
    """The file is not a backup, or not a whole one; the message says why."""


def limit(name: str) -> int:
    """Returns how many bytes an entry of this name may have; 0 if no backup has such an entry."""
    if name == DATABASE or _FILE.fullmatch(name):
        return MAX_ENTRY_BYTES
    return MAX_DOCUMENT_BYTES if _DOCUMENT.fullmatch(name) else 0


def write_entry(out: BinaryIO, name: str, size: int, source: BinaryIO, made_at: int) -> str:
    """Writes an entry of `size` bytes of `source`. Returns their sha256. Raises Damaged if the
    source has another size."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o600, made_at
    out.write(info.tobuf(tarfile.USTAR_FORMAT))
    digest, left = hashlib.sha256(), size
    while chunk := source.read(min(_CHUNK_BYTES, left + 1)):
        left -= len(chunk)
        if left < 0:
            break
        digest.update(chunk)
        out.write(chunk)
    if left:
        raise Damaged(f"{name} has changed while it was read")
    out.write(bytes(-size % _BLOCK))
    return digest.hexdigest()


def write_end(out: BinaryIO) -> None:
    out.write(bytes(2 * _BLOCK))


def read_manifest(file: BinaryIO) -> Manifest:
    """Reads the manifest at the file's beginning. Raises Damaged."""
    size = _header(file, MANIFEST)
    if size > MAX_MANIFEST_BYTES:
        raise Damaged(f"its {MANIFEST} is longer than {MAX_MANIFEST_BYTES} bytes")
    data = b"".join(_data(file, MANIFEST, size))
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        raise Damaged(f"its {MANIFEST}: {first_problem(error)}") from error
    names = set()
    for entry in manifest.entries:
        if not limit(entry.name):
            raise Damaged(f"its {MANIFEST} names {entry.name[:100]!r}, which is in no backup")
        if entry.size > limit(entry.name):
            raise Damaged(f"{entry.name} has more than {limit(entry.name)} bytes")
        if entry.name in names:
            raise Damaged(f"its {MANIFEST} names {entry.name} twice")
        names.add(entry.name)
    return manifest


def read_entry(file: BinaryIO, entry: Entry, out: BinaryIO) -> None:
    """Copies the next entry to `out`. Raises Damaged if it is not what the manifest says."""
    if _header(file, entry.name) != entry.size:
        raise Damaged(f"{entry.name} has another size than its {MANIFEST} says")
    digest = hashlib.sha256()
    for chunk in _data(file, entry.name, entry.size):
        digest.update(chunk)
        out.write(chunk)
    if digest.hexdigest() != entry.sha256:
        raise Damaged(f"{entry.name} has other bytes than its {MANIFEST} says")


def read_end(file: BinaryIO) -> None:
    """Raises Damaged unless the end of the entries follows."""
    if file.read(_BLOCK) != bytes(_BLOCK):
        raise Damaged(f"it has more in it than its {MANIFEST} says, or is cut short")


def _header(file: BinaryIO, name: str) -> int:
    """Reads the header of the entry `name`; returns its size in bytes. Raises Damaged for anything
    but an ordinary file of that name."""
    block = file.read(_BLOCK)
    if len(block) < _BLOCK:
        raise Damaged(f"it is cut short before {name}")
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.TarError, ValueError) as error:
        raise Damaged(f"there is no tar header in front of {name}: {error}") from error
    if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise Damaged(f"{info.name[:100]!r} is not an ordinary file")
    if info.name != name:
        raise Damaged(f"it has {info.name[:100]!r} where {name} should be")
    if info.size < 0:  # the header has room for it
        raise Damaged(f"{name} has a negative size")
    return info.size


def _data(file: BinaryIO, name: str, size: int) -> Iterator[bytes]:
    left = size
    while left:
        chunk = file.read(min(_CHUNK_BYTES, left))
        if not chunk:
            raise Damaged(f"it is cut short within {name}")
        left -= len(chunk)
        yield chunk
    padding = -size % _BLOCK
    if file.read(padding) != bytes(padding):
        raise Damaged(f"it is damaged, or cut short, behind {name}")


def not_a_backup(path: object, error: Damaged) -> TrustError:
    return TrustError(
        f"{path} is not a whole backup of modelwave: {error}; nothing was changed; use another one"
    )
