"""Mounts a disk of medium.py: inside, the system calls of os, io and fcntl for paths below ROOT go
there, and all others to the system. CPython's own buffers, pathlib, tempfile and shutil work on
top of it."""

import builtins
import contextlib
import errno
import fcntl
import io
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any
from unittest import mock

from tests.disk.medium import ROOT, Disk, Node, fail

FIRST_DESCRIPTOR = 1 << 20
_WRITES = os.O_WRONLY | os.O_RDWR


class RawFile(io.RawIOBase):
    """An open file."""

    def __init__(self, disk: Disk, node: Node, flags: int, name: Any, descriptor: int) -> None:
        self.disk, self.node, self.flags, self.name = disk, node, flags, name
        self.descriptor, self.at = descriptor, 0
        self.is_dead = False  # the program has ended, and its buffers with it

    def readable(self) -> bool:
        return not self.flags & os.O_WRONLY

    def writable(self) -> bool:
        return bool(self.flags & _WRITES)

    def seekable(self) -> bool:
        return True

    def fileno(self) -> int:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        return self.descriptor

    def readinto(self, buffer: Any) -> int:
        self.disk.meet("read")
        data = self.node.data[self.at : self.at + len(buffer)]
        buffer[: len(data)] = data
        self.at += len(data)
        return len(data)

    def write(self, data: Any) -> int:
        held = bytes(data)
        if self.is_dead or self.disk.is_off:
            return len(held)
        if self.flags & os.O_APPEND:
            self.at = len(self.node.data)
        self.disk.write(self.node, self.at, held)
        self.at += len(held)
        return len(held)

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (0, self.at, len(self.node.data))[whence]
        return self.at

    def tell(self) -> int:
        return self.at

    def truncate(self, size: int | None = None) -> int:
        size = self.at if size is None else size
        self.disk.resize(self.node, size)
        return size


class Mounted:
    """The system calls. Each has the name that os gives it."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.files: dict[int, RawFile] = {}

    # Files.

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        disk = self.disk
        disk.meet("open")
        try:
            node = disk.look(path)
            if flags & os.O_CREAT and flags & os.O_EXCL:
                raise fail(errno.EEXIST, path)
        except FileNotFoundError:
            if not flags & os.O_CREAT:
                raise
            node = disk.make(path, False, mode)
        if node.is_folder and flags & (_WRITES | os.O_CREAT):
            raise fail(errno.EISDIR, path)
        if flags & os.O_DIRECTORY and not node.is_folder:
            raise fail(errno.ENOTDIR, path)
        if flags & _WRITES:
            disk.meet("open to write")
        if flags & os.O_TRUNC and node.data:
            disk.resize(node, 0)
        number = FIRST_DESCRIPTOR + len(self.files)
        self.files[number] = RawFile(disk, node, flags, path, number)
        return number

    def close(self, number: int) -> None:
        self.files[number].close()

    def fstat(self, number: int) -> os.stat_result:
        return self.files[number].node.stat()

    def fchmod(self, number: int, mode: int) -> None:
        self.files[number].node.mode = mode

    def fsync(self, number: int) -> None:
        self.disk.sync(self.files[number].node)

    def write(self, number: int, data: bytes) -> int:
        return self.files[number].write(data)

    def read(self, number: int, size: int) -> bytes:
        return self.files[number].read(size) or b""

    # Names.

    def stat(self, path: str) -> os.stat_result:
        self.disk.meet("stat")
        return self.disk.look(path).stat()

    lstat = stat

    def mkdir(self, path: str, mode: int = 0o777) -> None:
        self.disk.make(path, True, mode)

    def remove(self, path: str) -> None:
        self.disk.forget(path, False)

    unlink = remove

    def rmdir(self, path: str) -> None:
        self.disk.forget(path, True)

    def rename(self, old: str, new: str) -> None:
        self.disk.rename(old, new)

    replace = rename

    def link(self, old: str, new: str) -> None:
        self.disk.link(old, new)

    def chmod(self, path: str, mode: int) -> None:
        self.disk.look(path).mode = mode

    def access(self, path: str, mode: int) -> bool:
        try:
            self.disk.look(path)
            if mode & os.W_OK:
                self.disk.meet("may write")
        except OSError:
            return False
        return True

    def listdir(self, path: str) -> list[str]:
        self.disk.meet("read")
        return list(self.disk.look(path).names)

    def scandir(self, path: str) -> Any:
        found = list(self.disk.look(path).names.items())
        return contextlib.nullcontext([Entry(path, name, node) for name, node in found])

    def statvfs(self, path: str) -> os.statvfs_result:
        self.disk.look(path)
        blocks = self.disk.room // 4096
        return os.statvfs_result((4096, 4096, blocks, blocks, blocks, 0, 0, 0, 0, 255))


class Entry:
    """One of os.scandir."""

    def __init__(self, folder: str, name: str, node: Node) -> None:
        self.name, self.path, self._node = name, f"{folder}/{name}", node

    def is_dir(self, follow_symlinks: bool = True) -> bool:
        return self._node.is_folder

    def is_file(self, follow_symlinks: bool = True) -> bool:
        return not self._node.is_folder

    def is_symlink(self) -> bool:
        return False

    def is_junction(self) -> bool:
        return False

    def stat(self, follow_symlinks: bool = True) -> os.stat_result:
        return self._node.stat()


ON_PATHS = ("open", "stat", "lstat", "mkdir", "remove", "unlink", "rmdir", "rename", "replace")
ON_PATHS += ("link", "chmod", "access", "listdir", "scandir", "statvfs")
ON_DESCRIPTORS = ("close", "fstat", "fchmod", "fsync", "write", "read")
_FLAGS = {"r": 0, "w": os.O_CREAT | os.O_TRUNC, "a": os.O_CREAT | os.O_APPEND}
_FLAGS["x"] = os.O_CREAT | os.O_EXCL

NOW: list[Mounted] = []  # what is mounted, as the last one


def _is_ours(path: Any) -> bool:
    if not NOW:
        return False
    kind = type(path)
    if kind is int:
        return path >= FIRST_DESCRIPTOR
    if kind is not str:
        path = str(path) if isinstance(path, PurePath) else ""
    return path.startswith(ROOT)


def _routed(name: str) -> Any:
    real = getattr(os, name)

    def call(first: Any, *more: Any, **named: Any) -> Any:
        if not _is_ours(first):
            return real(first, *more, **named)
        named.pop("follow_symlinks", None)
        named.pop("dir_fd", None)
        others = [str(one) if isinstance(one, PurePath) else one for one in more]
        return getattr(NOW[-1], name)(
            first if type(first) in (str, int) else str(first), *others, **named
        )

    return call


def _opened(real: Any) -> Any:
    def call(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: Any = None,
        errors: Any = None,
        newline: Any = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        if not _is_ours(file):
            return real(file, mode, buffering, encoding, errors, newline, closefd, opener)
        kind = next(one for one in mode if one in _FLAGS)
        number = file
        if type(file) is not int:
            file = os.fspath(file)
            access = os.O_RDWR if "+" in mode else (os.O_RDONLY if kind == "r" else os.O_WRONLY)
            flags = access | _FLAGS[kind]
            number = opener(file, flags) if opener else NOW[-1].open(file, flags, 0o644)
        raw = NOW[-1].files[number]
        if kind == "r" and raw.node.is_folder:
            raise fail(errno.EISDIR, file)
        raw.name = file
        if kind == "a":
            raw.seek(0, os.SEEK_END)
        return _buffered(raw, mode, buffering, encoding, errors, newline)

    return call


def _buffered(
    raw: RawFile, mode: str, buffering: int, encoding: Any, errors: Any, newline: Any
) -> Any:
    if not buffering:
        return raw
    if "+" in mode:
        held: Any = io.BufferedRandom(raw)  # type: ignore[arg-type]
    elif raw.writable():
        held = io.BufferedWriter(raw)  # type: ignore[arg-type]
    else:
        held = io.BufferedReader(raw)  # type: ignore[arg-type]
    if "b" in mode:
        return held
    return io.TextIOWrapper(held, encoding or "utf-8", errors, newline)


def _flock(descriptor: int, operation: int, real: Any = fcntl.flock) -> None:
    if not _is_ours(descriptor):
        real(descriptor, operation)


def _sync_all(real: Any = os.sync) -> None:
    if NOW:
        NOW[-1].disk.sync_all()


@contextlib.contextmanager
def patched() -> Iterator[None]:
    """Inside, a disk may be mounted."""
    opened = _opened(io.open)
    with contextlib.ExitStack() as stack:
        for name in (*ON_PATHS, *ON_DESCRIPTORS):
            stack.enter_context(mock.patch.object(os, name, _routed(name)))
        for where in (builtins, io):
            stack.enter_context(mock.patch.object(where, "open", opened))
        stack.enter_context(mock.patch.object(tarfile, "bltn_open", opened))
        stack.enter_context(mock.patch.object(os, "sync", _sync_all))
        stack.enter_context(mock.patch.object(fcntl, "flock", _flock))
        # Deletes by paths and copies by reading: the system knows no descriptor of a disk here.
        for name in ("_use_fd_functions", "_USE_CP_SENDFILE"):
            stack.enter_context(mock.patch.object(shutil, name, False))
        yield


@contextlib.contextmanager
def mounted(disk: Disk) -> Iterator[Disk]:
    """Mounts the disk. What is left open loses what is in its buffers: the program is dead."""
    NOW.append(Mounted(disk))
    try:
        yield disk
    finally:
        for file in NOW.pop().files.values():
            file.is_dead = True
