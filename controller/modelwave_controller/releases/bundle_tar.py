"""A bundle as one file, to send it: a plain tar of its files, the manifest first.

What is unpacked is bounded and has the names of a bundle alone: nothing else is written, and
nowhere else. The bytes are verified later, as those of a folder are.
"""

import contextlib
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError
from modelwave_controller.releases import model_signature
from modelwave_shared import dsse
from modelwave_shared.limits import MAX_BYTES, MAX_ENVELOPE_BYTES

MANIFEST_FILE = "manifest.json"
MAX_FILES = 16
MAX_ENTRIES = 200  # with folders and notes: each takes time
_BLOCK, _CHUNK = tarfile.BLOCKSIZE, 1 << 20
_MAX_NOTES_BYTES = 65536  # that a tar says of a file beside its head
_NAME = re.compile(r"[0-9a-f]{64}")


class Packed(NamedTuple):
    """A bundle to be sent: the files, each with its name in the tar and its bytes."""

    files: list[tuple[str, Path, int]]

    @property
    def size(self) -> int:
        return sum(_BLOCK + _whole_blocks(size) for _, _, size in self.files) + 2 * _BLOCK

    def chunks(self) -> Iterator[bytes]:
        """Raises OperatorError if a file became shorter, or cannot be read."""
        for name, path, size in self.files:
            entry = tarfile.TarInfo(name)
            entry.size = size
            yield entry.tobuf(tarfile.USTAR_FORMAT)
            yield from disk.pieces(path, "BUNDLE", size, "make it again")
            yield bytes(_whole_blocks(size) - size)
        yield bytes(2 * _BLOCK)


def packed(bundle: Path) -> Packed:
    """Returns a bundle, or its manifest with the files beside it, to be sent. Raises
    OperatorError."""
    manifest = manifest_of(bundle)
    data = disk.read_input(manifest, "BUNDLE", MAX_ENVELOPE_BYTES)
    found = [(MANIFEST_FILE, manifest, len(data))]
    for sha256 in _named(data):
        path = manifest.parent / sha256
        if path.is_file():
            found.append((sha256, path, path.stat().st_size))
    return Packed(found)


def manifest_of(bundle: Path, named: Path | None = None) -> Path:
    """Returns the manifest of a folder, or the file itself; `named`: what errors call it, None: as
    it is. Raises OperatorError if there is none."""
    manifest = bundle if bundle.is_file() else bundle / MANIFEST_FILE
    if not manifest.is_file():
        raise OperatorError(f"BUNDLE: {named or bundle} has no {MANIFEST_FILE}: not a bundle")
    return manifest


def _named(envelope: bytes) -> list[str]:
    """Returns the hashes of the files that a manifest names, which nobody has verified yet."""
    try:
        document = json.loads(dsse.read(envelope).payload)
        carried = model_signature.of_manifest(document)
        named = [file["sha256"] for file in document["files"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []  # who verifies it says what is wrong
    named += [carried.sha256] if carried else []
    return [one for one in named[:MAX_FILES] if isinstance(one, str) and _NAME.fullmatch(one)]


@contextlib.contextmanager
def opened(bundle: Path, parent: Path, named: str) -> Iterator[Path]:
    """Yields a bundle that may be one file: the folder with its files, which is in `parent` for so
    long; a manifest alone stays as it is. Raises OperatorError, which says `named`."""
    if is_in_parts(bundle):
        if bundle.is_file() and bundle.stat().st_size > MAX_ENVELOPE_BYTES:
            raise _too_long(named)
        yield bundle
        return
    with disk.work_folder(parent, "upload") as folder:
        with disk.open_plain(bundle, "BUNDLE") as file:
            unpack(file, folder, named)
        yield folder


def is_in_parts(bundle: Path) -> bool:
    """Returns whether it is a folder, or a manifest: not one file that has all of it."""
    if not bundle.is_file():
        return True
    with disk.open_plain(bundle, "BUNDLE") as file, disk.naming(bundle):
        return file.read(1) == b"{"


def _too_long(named: str) -> OperatorError:
    return OperatorError(f"BUNDLE: {named} is longer than {MAX_ENVELOPE_BYTES} bytes")


def unpack(file: BinaryIO, folder: Path, named: str) -> None:
    """Writes the files of a bundle into the folder. Raises OperatorError, which says `named`."""
    what = f"BUNDLE: {named}"
    seen: set[str] = set()
    for entry in _entries(file, what):
        name = PurePosixPath(entry.name).name
        if name != MANIFEST_FILE and not _NAME.fullmatch(name):
            raise OperatorError(
                f"{what}: {entry.name[:100]!r} is no file of a bundle, which are "
                f"{MANIFEST_FILE} and those that it names"
            )
        if name == MANIFEST_FILE and entry.size > MAX_ENVELOPE_BYTES:
            raise _too_long(f"{named}/{MANIFEST_FILE}")
        if name in seen or len(seen) == MAX_FILES:
            raise OperatorError(f"{what}: {name} is there twice, or there are too many files")
        seen.add(name)
        with open(folder / name, "wb") as out:
            _copy(file, out, entry.size, what)


def _entries(file: BinaryIO, what: str) -> Iterator[tarfile.TarInfo]:
    """Yields the plain files; who has read one's bytes goes on."""
    for _ in range(MAX_ENTRIES):
        block = _read(file, _BLOCK, what)
        if not block.strip(b"\0"):
            return
        try:
            entry = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise OperatorError(
                f"{what}: no bundle, and no plain tar of one (`tar -cf bundle.tar -C BUNDLE .`)"
            ) from error
        if not 0 <= entry.size <= MAX_BYTES:
            raise OperatorError(f"{what}: a file of a release has at most {MAX_BYTES} bytes")
        if entry.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
            yield entry
            _read(file, _whole_blocks(entry.size) - entry.size, what)
        elif entry.type in (tarfile.XHDTYPE, tarfile.XGLTYPE) and entry.size <= _MAX_NOTES_BYTES:
            _read(file, _whole_blocks(entry.size), what)
        elif not entry.isdir():
            raise OperatorError(f"{what}: {entry.name[:100]!r} is no plain file")
    raise OperatorError(f"{what}: it has more than {MAX_ENTRIES} entries; send a bundle alone")


def _copy(file: BinaryIO, out: BinaryIO, size: int, what: str) -> None:
    while size:
        chunk = _read(file, min(size, _CHUNK), what)
        out.write(chunk)
        size -= len(chunk)


def _read(file: BinaryIO, size: int, what: str) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise OperatorError(f"{what}: it is cut off: send it again")
    return data


def _whole_blocks(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK
