"""The file of a release of the agent for hosts: a tar, without compression, of the wheels of the
agent and of all that it needs, each distribution once. The controller writes it, and has pip find
out whether the wheels are enough for the platform (releases/wheelhouses.py in
modelwave_controller).

To install a wheel is to unpack it (the binary distribution format of packaging.python.org). No pip
is needed for it, which a device might not have, and which needs more memory than the agent. Scripts
and headers are left out: the launcher starts the agent as a module.
"""

import re
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

MAX_WHEELS = 256
MAX_UNPACKED_BYTES = 1 << 31
MAX_NAME_BYTES, MAX_PATH_BYTES = 255, 1024  # of a file in a wheel
_WHEEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,200}\.whl", re.ASCII)
_DATA = ".data"
_INTO_SITE, _INTO_TOP = ("purelib", "platlib"), "data"
_COPY_BYTES = 1 << 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1  # of a zip entry's flags
# What the wheels themselves are to blame for; any other OSError may pass.
_WRONG = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    FileExistsError,
    NotADirectoryError,
    IsADirectoryError,
)


class WheelhouseError(ValueError):
    """The file is no wheelhouse of an agent; the message says why."""


def unpack(file: Path, top: Path, site: Path) -> None:
    """Installs the wheels of a wheelhouse in the environment `top`, whose folder of packages is
    `site`. Raises WheelhouseError, and OSError if they cannot be written."""
    left = MAX_UNPACKED_BYTES
    try:
        with tarfile.open(file, "r:") as tar:
            for number, member in enumerate(tar):
                if number == MAX_WHEELS:
                    raise WheelhouseError(f"wheelhouse: more than {MAX_WHEELS} wheels")
                source = tar.extractfile(member) if member.isreg() else None
                if source is None or not _WHEEL.fullmatch(member.name):
                    raise WheelhouseError(f"wheelhouse: {member.name[:100]!r} is no wheel")
                with source, zipfile.ZipFile(source) as archive:
                    left -= _unpack_wheel(archive, member.name, top, site, left)
    except _WRONG as error:
        raise WheelhouseError(f"wheelhouse: {error}") from error


def _unpack_wheel(archive: zipfile.ZipFile, name: str, top: Path, site: Path, most: int) -> int:
    """Installs a wheel of at most `most` bytes, and returns how many it has."""
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    size = sum(entry.file_size for entry in entries)
    if size > most:
        raise WheelhouseError(f"wheelhouse: unpacked it has more than {MAX_UNPACKED_BYTES} bytes")
    for entry in entries:
        place = _place(entry.filename, name, top, site)
        if place is None:
            continue
        if entry.compress_type not in _METHODS or entry.flag_bits & _ENCRYPTED:
            raise WheelhouseError(f"wheelhouse: {name}: packed otherwise than by deflate")
        place.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, open(place, "xb") as file:
            while piece := source.read(_COPY_BYTES):
                file.write(piece)
    return size


def _place(entry: str, wheel: str, top: Path, site: Path) -> Path | None:
    """Returns where a file of a wheel belongs; None if it is left out."""
    path = PurePosixPath(entry)
    if path.is_absolute() or ".." in path.parts or "\\" in entry:
        raise WheelhouseError(f"wheelhouse: {wheel}: {entry[:100]!r} lies outside of it")
    lengths = [len(part.encode(errors="replace")) for part in path.parts]
    if not lengths or max(lengths) > MAX_NAME_BYTES or sum(lengths) > MAX_PATH_BYTES:
        raise WheelhouseError(f"wheelhouse: {wheel}: {entry[:100]!r} is no name of a file")
    if not path.parts[0].endswith(_DATA):
        return site / path
    if len(path.parts) == 1:
        raise WheelhouseError(f"wheelhouse: {wheel}: {entry[:100]!r} is no folder")
    kind, rest = path.parts[1], path.parts[2:]
    if not rest or kind not in (*_INTO_SITE, _INTO_TOP):
        return None
    return (top if kind == _INTO_TOP else site).joinpath(*rest)
