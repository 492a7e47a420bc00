"""Records the system calls of a process on the files of one folder, with strace, and does the same
on a disk of medium.py. So a library that writes by itself, as SQLite does, is on the disk that
forgets with the code and the settings that it really has.

What goes through a memory map has no calls. SQLite maps only FILE-shm: it is left out here, as
SQLite makes it anew when the first process opens the database, whatever is in it.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.disk.medium import ROOT, Disk, Moment, Node

MAP = "-shm"
CALLS = "openat,pwrite64,write,fsync,fdatasync,ftruncate,unlink,rename,close"
LONGEST_BYTES = 1 << 20
_LINE = re.compile(r"(\w+)\((.*)\) += (-?\d+)")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')


class Call(NamedTuple):
    """A call that succeeded. `texts` are its paths or its data, `words` the other arguments."""

    name: str
    texts: list[bytes]
    words: list[str]
    result: int


def record(arguments: Sequence[str], output: Path) -> None:
    """Runs `python ARGUMENTS` under strace, which writes its calls to `output`."""
    command = ["strace", "-xx", "-s", str(LONGEST_BYTES), "-e", f"trace={CALLS}", "-o", str(output)]
    command += [sys.executable, *arguments]
    top = Path(__file__).parents[2]
    # Ctrl-C is for this process, which then ends both.
    with subprocess.Popen(command, cwd=top, start_new_session=True) as process:
        try:
            code = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if code:
        raise subprocess.CalledProcessError(code, command)


def read(output: Path) -> Iterator[Call]:
    with output.open() as lines:
        for line in lines:
            found = _LINE.match(line)
            if found and int(found[3]) >= 0:
                texts = _TEXT.findall(found[2])
                assert not any(cut for _, cut in texts), "strace has cut the data"
                data = [bytes.fromhex(text.replace("\\x", "")) for text, _ in texts]
                words = _TEXT.sub("_", found[2]).split(", ")
                yield Call(found[1], data, words, int(found[3]))


class Replay:
    """Does the calls on `disk`, in whose ROOT the files of `folder` are. `told` is called for each
    line that the process has written to the file `marks`."""

    def __init__(self, disk: Disk, folder: Path, marks: Path, told: Callable[[], None]) -> None:
        self.disk, self.folder, self.marks, self.told = disk, folder, marks, told
        self._open: dict[int, Node] = {}
        self._marking = -1  # the descriptor of `marks`

    def run(self, calls: Iterator[Call]) -> Iterator[Moment]:
        """Yields each moment of the disk, which forgets it: a database that grows has too many of
        them for the memory."""
        moments = self.disk.moments
        for call in calls:
            getattr(self, f"_{call.name}")(call)
            yield from moments[:-1]
            del moments[:-1]  # what is told next still belongs to the last one
        yield from moments

    def _path(self, text: bytes) -> str:
        """Returns the path on the disk; "" for a file that is elsewhere, or left out."""
        path = Path(text.decode())
        is_there = path == self.folder or self.folder in path.parents
        if not is_there or path.name.endswith(MAP):
            return ""
        return f"{ROOT}/{path.relative_to(self.folder)}".removesuffix("/.")

    def _openat(self, call: Call) -> None:
        if call.texts[0] == bytes(self.marks):
            self._marking = call.result
            return
        path, flags = self._path(call.texts[0]), call.words[2]
        if not path:
            return
        try:
            node = self.disk.look(path)
        except FileNotFoundError:
            assert "O_CREAT" in flags
            node = self.disk.make(path, False, 0o600)
        assert not {"O_TRUNC", "O_APPEND"} & {*flags.split("|")}, "SQLite does neither"
        self._open[call.result] = node

    def _close(self, call: Call) -> None:
        self._open.pop(int(call.words[0]), None)

    def _write(self, call: Call) -> None:
        descriptor = int(call.words[0])
        assert descriptor not in self._open, "SQLite writes at offsets"
        if descriptor == self._marking:
            self.told()

    def _pwrite64(self, call: Call) -> None:
        node = self._open.get(int(call.words[0]))
        if node is not None:
            assert call.result == len(call.texts[0]), "a short write is not done here"
            self.disk.write(node, int(call.words[3]), call.texts[0])

    def _ftruncate(self, call: Call) -> None:
        node = self._open.get(int(call.words[0]))
        if node is not None and len(node.data) != int(call.words[1]):
            self.disk.resize(node, int(call.words[1]))

    def _fdatasync(self, call: Call) -> None:
        node = self._open.get(int(call.words[0]))
        if node is not None:
            self.disk.sync(node)

    _fsync = _fdatasync

    def _unlink(self, call: Call) -> None:
        if path := self._path(call.texts[0]):
            self.disk.forget(path, False)

    def _rename(self, call: Call) -> None:
        old, new = map(self._path, call.texts)
        assert bool(old) == bool(new)
        if old:
            self.disk.rename(old, new)
