"""Reads files that an operator names, and writes files so that a power cut leaves the old or the
new contents."""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from modelwave_controller.errors import OperatorError, TrustError
from modelwave_controller.interruption import held_back

MAX_SECRET_BYTES = 1024
_CHUNK_BYTES = 1 << 20
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)  # such as FAT
PART = ".part-"  # begins the name of a file that is not whole yet
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
# As tempfile names them; a folder with a date in its name is a person's.
_WORK = re.compile(
    r"\.modelwave-(backup|restore|init|sign|golden|enrol|upload)-(?![0-9]{8}$)[a-z0-9_]{8}",
    re.ASCII,
)


def read_input(path: Path, what: str, limit: int) -> bytes:
    """Returns the contents of a file that the operator named with the option `what` ("--key").
    Raises OperatorError if it cannot be read, is empty or has more than `limit` bytes."""
    with _opened(path, what) as file, naming(path):
        data = file.read(limit + 1)
    if not data:
        raise OperatorError(f"{what}: {path} is empty")
    if len(data) > limit:
        raise OperatorError(f"{what}: {path} is longer than {limit} bytes")
    return data


def read_secret(path: Path, what: str) -> bytes:
    """Returns the secret in a file that holds nothing else: the end of its line does not count.
    Raises as `read_input`."""
    return read_input(path, what, MAX_SECRET_BYTES).rstrip(b"\r\n")


def read_secret_text(path: Path, what: str) -> str:
    """Does the same for a secret that has to be UTF-8 text."""
    try:
        return read_secret(path, what).decode()
    except UnicodeDecodeError as error:
        raise OperatorError(f"{what}: {path} is not UTF-8 text") from error


def copy_hashed(source: Path, folder: Path, what: str, limit: int) -> tuple[str, int]:
    """Copies a plain file that the operator named into `folder`, under its sha256. Returns (sha256,
    size in bytes). Raises as `read_input`, and for a device or a pipe."""
    digest, size = hashlib.sha256(), 0
    taken = folder / ".taken"
    with open_plain(source, what) as given, naming(taken), open(taken, "wb") as file:
        while chunk := _read(given, source, _CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
            if size > limit:
                raise OperatorError(f"{what}: {source} is longer than {limit} bytes")
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    if not size:
        raise OperatorError(f"{what}: {source} is empty")
    os.rename(taken, folder / digest.hexdigest())
    return digest.hexdigest(), size


def open_plain(path: Path, what: str) -> BinaryIO:
    """Opens a file that the operator named with the option `what`. Raises OperatorError if it
    cannot be opened or is no plain file; it does not wait for the other end of a pipe."""
    file = _opened(path, what, os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OperatorError(f"{what}: {path} is a device or a pipe; save its contents in a file")
    return file


def pieces(path: Path, what: str, size: int, remedy: str) -> Iterator[bytes]:
    """Yields the first `size` bytes of such a file. Raises OperatorError as `open_plain`, and with
    the `remedy` if it has become shorter."""
    with open_plain(path, what) as file, naming(path):
        while size:
            piece = file.read(min(size, _CHUNK_BYTES))
            if not piece:
                raise OperatorError(f"{what}: {path} became shorter: {remedy}")
            size -= len(piece)
            yield piece


def require_place(path: Path, what: str, force: bool) -> None:
    """Raises OperatorError unless a file that the operator named with `what` ("--out") may be
    written there; `force`: it may replace one."""
    if path.is_dir():
        raise OperatorError(f"{what}: {path} is a folder; name a new file in it")
    if path.exists() and not path.is_file():
        raise OperatorError(f"{what}: {path} is no plain file; name another one")
    if path.exists() and not force:
        raise OperatorError(
            f"{what}: {path} exists; name another file, or overwrite it with --force"
        )
    if not path.parent.is_dir():
        raise OperatorError(f"{what}: there is no folder {path.parent}")


def create_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Writes a new file, whole or not at all: a part of one would never be overwritten. Raises
    OperatorError if it exists."""
    part = path.with_name(f"{PART}{secrets.token_hex(4)}")
    try:
        with naming(part), open(part, "xb", opener=_with_mode(mode)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _name_new(part, path)
    except FileExistsError as error:
        raise OperatorError(f"{path} exists and is never overwritten; name another file") from error
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)


def _with_mode(mode: int) -> Callable[[str, int], int]:
    return lambda name, flags: os.open(name, flags, mode)


def _name_new(part: Path, path: Path) -> None:
    """Gives the file `part` the name `path`. Raises FileExistsError if there is such a file."""
    try:
        os.link(part, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():
            raise FileExistsError(path) from error
        os.rename(part, path)


def make_folder(path: Path, mode: int = 0o755) -> None:
    """Makes a folder durably, and as usual those above it that are missing. What exists is made
    durable too: a command that was killed may have made it."""
    missing = [] if path.exists() else [*reversed(path.absolute().parents)][1:]
    for parent in missing:
        parent.mkdir(mode=0o755, exist_ok=True)
        _sync_if_allowed(parent.parent)
    path.mkdir(mode=mode, exist_ok=True)
    _sync_if_allowed(path.absolute().parent)


def _sync_if_allowed(folder: Path) -> None:
    with contextlib.suppress(PermissionError):  # another's, who has made it
        sync_folder(folder)


def private_folder(path: Path) -> None:
    """Makes a folder that only its owner may enter, whatever the umask is; the missing folders
    above it are made as usual. If it exists and is ours, others are kept from writing into it."""
    make_folder(path, 0o700)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & _OTHERS_WRITE:
        with contextlib.suppress(PermissionError):
            path.chmod(mode & ~_OTHERS_WRITE)


def replace(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replaces a file's contents completely, or leaves the old ones."""
    with _whole(path, mode) as file:
        file.write(data)


def copy_verified(
    source: Path, path: Path, sha256: str, size: int, named: Path | None = None
) -> None:
    """Copies a file completely or not at all; `named`: what errors call it, None: as it is. Raises
    TrustError unless it has this hash and size; a file that is too long is not read to its end."""
    named = named or source
    digest, copied = hashlib.sha256(), 0
    with _opened(source, "bundle", named=named) as given, _whole(path) as file:
        while chunk := _read(given, source, min(_CHUNK_BYTES, size + 1 - copied)):
            digest.update(chunk)
            copied += len(chunk)
            file.write(chunk)
        if copied != size or digest.hexdigest() != sha256:
            raise TrustError(f"{named} is not what was signed; get the bundle again")


def _opened(path: Path, what: str, more_flags: int = 0, named: Path | None = None) -> BinaryIO:
    try:
        return open(path, "rb", opener=lambda name, flags: os.open(name, flags | more_flags))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise OperatorError(f"{what}: cannot read {named or path}: {why}") from error


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Adds the file's name to an OSError of the block that has none: a write to a full disk does
    not name the file."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def _read(file: BinaryIO, path: Path, size: int) -> bytes:
    with naming(path):
        return file.read(size)


@contextlib.contextmanager
def _whole(path: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Yields a file in the same folder, which durably replaces `path` at the end of the block,
    unless it raises."""
    descriptor, name = tempfile.mkstemp(prefix=PART, dir=path.parent)
    try:
        with naming(path), open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.rename(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)  # missing: a signal came after the rename
        raise
    sync_folder(path.parent)


@contextlib.contextmanager
def work_folder(parent: Path, what: str) -> Iterator[Path]:
    """Yields a new folder in `parent` for the command `what`. It is removed in the end, also after
    a signal, and locked until then; what a killed command has left there is removed first."""
    remove_left(parent)
    made: tuple[Path, int] | None = None
    try:
        with held_back():
            made = _locked_folder(parent, f".modelwave-{what}-")
        yield made[0]
    finally:
        with held_back():
            if made:
                shutil.rmtree(made[0], ignore_errors=True)
                os.close(made[1])


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Lets one such block of all processes run at a time; the others wait."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # a disk without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _locked_folder(parent: Path, prefix: str) -> tuple[Path, int]:
    """Until a new folder is locked, another process may take it for one that was left, and lock or
    remove it."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        try:
            if _locks(lock) and folder.exists():
                return folder, lock
        except OSError:  # a disk without locks: there `remove_left` removes nothing
            return folder, lock
        os.close(lock)


def _locks(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove_left(parent: Path) -> list[Path]:
    """Removes the work folders that killed commands of this user have left in `parent`. Returns
    those that could not be removed."""
    found: list[Path] = []
    with contextlib.suppress(OSError):
        found = [path for path in parent.iterdir() if is_work_folder(path)]
    return [path for path in sorted(found) if not _removed(path)]


def is_part(path: Path) -> bool:
    """Returns whether this is a file that was being written when a command was killed."""
    return path.name.startswith(PART)


def is_work_folder(path: Path) -> bool:
    return _WORK.fullmatch(path.name) is not None


def _removed(folder: Path) -> bool:
    """Removes the folder, unless its command still runs. Returns False if that fails."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # a file, a link, or removed meanwhile
        return True
    try:
        if os.fstat(lock).st_uid == os.geteuid() and _locks(lock):
            shutil.rmtree(folder)
    except OSError:
        return not folder.exists()
    finally:
        os.close(lock)
    return True


def sync_file(path: Path) -> None:
    """Makes the contents of a file durable that another program or library has written."""
    with naming(path), path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Makes renames in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
