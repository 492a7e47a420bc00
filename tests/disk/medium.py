"""A disk in memory that forgets: it knows what a program sees on it, what was synced, and what a
power cut may still take.

`base` is what is on the medium for certain, and `pending` the changes since, in their order. A sync
of a file moves its changes into the base; the name of a file belongs to its folder, and moves with
a sync of that alone, as POSIX has it. `moments` has base, pending and the test's facts after each
change: a power cut may come at each.
"""

import errno
import os
import stat
from collections.abc import Callable
from typing import Any, NamedTuple

ROOT = "/forgets"  # all paths of the disk are below
TOP = 1  # the number of its root folder


class PowerCut(BaseException):
    """The program that asks has no power."""


# What is on a medium: {path below ROOT: bytes of a file, None for a folder}, sorted.
State = tuple[tuple[str, bytes | None], ...]


class Change(NamedTuple):
    """A change that was not synced. `node`: of the file, or the folder that has the name."""

    kind: str  # write, size, name, forget, rename
    node: int
    at: int = 0  # offset of a write; the new size; the number that a name stands for
    data: bytes = b""
    name: str = ""
    source: tuple[int, str] = (0, "")  # of a rename: folder and name


class Moment(NamedTuple):
    base: dict[int, Any]
    pending: tuple[Change, ...]
    facts: Any


class Node:
    """A file or folder as the program sees it."""

    def __init__(self, number: int, is_folder: bool, mode: int) -> None:
        self.number = number
        self.is_folder = is_folder
        self.mode = mode
        self.data = bytearray()
        self.names: dict[str, Node] = {}

    def stat(self) -> os.stat_result:
        kind = stat.S_IFDIR if self.is_folder else stat.S_IFREG
        size = len(self.data)
        return os.stat_result((kind | self.mode, self.number, 1, 1, os.getuid(), 0, size, 0, 0, 0))


def fail(number: int, path: object = None) -> OSError:
    return OSError(number, os.strerror(number), path)


class Disk:
    """The operations of the system calls. `refuse(kind)` is asked before each, and may raise an
    OSError in its place."""

    def __init__(self, state: State = (), facts: Any = None) -> None:
        self.facts = facts
        self.top = Node(TOP, True, 0o755)
        self.count = TOP
        self.base: dict[int, Any] = {TOP: {}}
        self.pending: list[Change] = []
        self.room = 1 << 30
        self.is_in_trouble = False  # it refuses something
        self.is_hopeless = False  # and goes on to
        self.apart: tuple[str, ...] = ()  # folders on another disk
        self.is_off = False  # the power is: nothing is changed any more
        self.skips: Callable[[], bool] = bool  # whether the sync that is asked for is left out
        self.refuse: Callable[[str], None] = lambda kind: None
        for path, data in state:
            folder, name = self._place(path)
            node = self._new(folder, name, data is None, 0o600 if data is not None else 0o755)
            node.data += data or b""
            self.base[folder.number][name] = node.number
            self.base[node.number] = {} if data is None else data
        self.moments = [Moment(self.base, (), facts)]

    def meet(self, kind: str) -> None:
        if self.is_off:
            raise PowerCut
        self.refuse(kind)

    @classmethod
    def after_kill(cls, moment: Moment) -> "Disk":
        """The disk as the next program finds it when one was killed at this moment, and the power
        stayed on: nothing is lost, and what was not synced still may be."""
        disk = cls()
        disk.base, disk.pending = moment.base, list(moment.pending)
        disk.facts = moment.facts
        after = dict(moment.base)
        apply(after, moment.pending)
        named = [one.at for one in moment.pending if one.kind in ("name", "rename")]
        folders = [names for names in after.values() if isinstance(names, dict)]
        disk.count = max([*after, *named, *(node for names in folders for node in names.values())])
        nodes: dict[int, Node] = {}
        _grow(disk.top, after, nodes)
        disk.moments = [moment]
        return disk

    # What the program asks.

    def look(self, path: str) -> Node:
        node = self.top
        for part in path[len(ROOT) :].strip("/").split("/"):
            if part:
                if not node.is_folder:
                    raise fail(errno.ENOTDIR, path)
                if part not in node.names:
                    raise fail(errno.ENOENT, path)
                node = node.names[part]
        return node

    def make(self, path: str, is_folder: bool, mode: int) -> Node:
        folder, name = self._place(path[len(ROOT) :])
        if name in folder.names:
            raise fail(errno.EEXIST, path)
        self.meet("make")
        node = self._new(folder, name, is_folder, mode)
        if is_folder:
            self.base = {**self.base, node.number: {}}
        self._change(Change("name", folder.number, node.number, name=name))
        return node

    def link(self, old: str, new: str) -> None:
        node = self.look(old)
        folder, name = self._place(new[len(ROOT) :])
        if name in folder.names:
            raise fail(errno.EEXIST, new)
        self.meet("make")
        folder.names[name] = node
        self._change(Change("name", folder.number, node.number, name=name))

    def forget(self, path: str, is_folder: bool) -> None:
        node = self.look(path)
        if node.is_folder != is_folder:
            raise fail(errno.EISDIR if node.is_folder else errno.ENOTDIR, path)
        if node.names:
            raise fail(errno.ENOTEMPTY, path)
        self.meet("forget")
        folder, name = self._place(path[len(ROOT) :])
        del folder.names[name]
        self._change(Change("forget", folder.number, name=name))

    def rename(self, old: str, new: str) -> None:
        node = self.look(old)
        source, source_name = self._place(old[len(ROOT) :])
        folder, name = self._place(new[len(ROOT) :])
        if self._is_apart(old) != self._is_apart(new):
            raise fail(errno.EXDEV, old)
        there = folder.names.get(name)
        if there is node:
            return
        if there and there.names:
            raise fail(errno.ENOTEMPTY, new)
        self.meet("rename")
        del source.names[source_name]
        folder.names[name] = node
        source_place = (source.number, source_name)
        self._change(Change("rename", folder.number, node.number, name=name, source=source_place))

    def write(self, node: Node, at: int, data: bytes) -> None:
        self.meet("write" if at + len(data) <= len(node.data) else "grow")
        if at > len(node.data):
            node.data += bytes(at - len(node.data))
        node.data[at : at + len(data)] = data
        self._change(Change("write", node.number, at, data))

    def resize(self, node: Node, size: int) -> None:
        self.meet("size")
        node.data = node.data[:size].ljust(size, b"\0")
        self._change(Change("size", node.number, size))

    def sync(self, node: Node) -> None:
        if self.is_off or self.skips():
            return
        try:
            self.meet("sync")
        except OSError:
            # As Linux does it: what could not be written counts as clean, and is lost.
            self.pending = [one for one in self.pending if one.node != node.number]
            self._moment()
            raise
        self._durable([one.node == node.number for one in self.pending])

    def sync_all(self) -> None:
        if not self.skips():
            self.meet("sync")
            self._durable([True for _ in self.pending])

    def commit(self, path: str, data: bytes) -> None:
        """What a database does, as far as it is seen: the contents of a file are replaced, and are
        durable at once."""
        node = self.look(path)
        self.meet("write")
        node.data[:] = data
        self.base = {**self.base, node.number: data}
        self._moment()

    def tell(self, facts: Any) -> None:
        """From now on the facts hold: also for a cut before the next change."""
        self.facts = facts
        self.moments[-1] = self.moments[-1]._replace(facts=facts)

    def seen(self) -> State:
        """What the program sees."""
        return applied(self.base, self.pending)

    # Within.

    def _is_apart(self, path: str) -> bool:
        return path.startswith(self.apart)

    def _place(self, path: str) -> tuple[Node, str]:
        folder, _, name = path.strip("/").rpartition("/")
        node = self.look(f"{ROOT}/{folder}")
        if not node.is_folder:
            raise fail(errno.ENOTDIR, path)
        return node, name

    def _new(self, folder: Node, name: str, is_folder: bool, mode: int) -> Node:
        self.count += 1
        node = folder.names[name] = Node(self.count, is_folder, mode)
        return node

    def _change(self, change: Change) -> None:
        self.pending.append(change)
        self._moment()

    def _durable(self, which: list[bool]) -> None:
        base = dict(self.base)
        apply(base, [one for one, is_synced in zip(self.pending, which, strict=True) if is_synced])
        self.base = base
        self.pending = [
            one for one, is_synced in zip(self.pending, which, strict=True) if not is_synced
        ]
        self._moment()

    def _moment(self) -> None:
        self.moments.append(Moment(self.base, tuple(self.pending), self.facts))


def applied(base: dict[int, Any], changes: "list[Change] | tuple[Change, ...]") -> State:
    """The state of a medium on which these changes came after `base`."""
    after = dict(base)
    apply(after, changes)
    found: list[tuple[str, bytes | None]] = []
    _walk(after, TOP, "", found)
    return tuple(found)


def apply(base: dict[int, Any], changes: "list[Change] | tuple[Change, ...]") -> None:
    """Makes the changes in `base`."""
    files: dict[int, bytearray] = {}  # that are changed
    for change in changes:
        node = change.node
        if change.kind in ("write", "size"):
            if node not in files:
                files[node] = bytearray(base.get(node, b""))
            data = files[node]
            data.extend(bytes(max(0, change.at - len(data))))
            if change.kind == "write":
                data[change.at : change.at + len(change.data)] = change.data
            else:
                del data[change.at :]
        else:
            names = base[node] = dict(base.get(node) or {})
            if change.kind == "forget":
                names.pop(change.name, None)
            else:
                names[change.name] = change.at
            if change.kind == "rename":
                folder, name = change.source
                if folder != node:
                    names = base[folder] = dict(base.get(folder) or {})
                names.pop(name, None)
    base.update({node: bytes(data) for node, data in files.items()})


def _grow(folder: Node, held: dict[int, Any], nodes: dict[int, Node]) -> None:
    for name, number in held[folder.number].items():
        data = held.get(number, b"")
        if number not in nodes:
            is_folder = isinstance(data, dict)
            nodes[number] = Node(number, is_folder, 0o755 if is_folder else 0o600)
            if is_folder:
                _grow(nodes[number], held, nodes)
            else:
                nodes[number].data += data
        folder.names[name] = nodes[number]


def _walk(base: dict[int, Any], number: int, path: str, found: list[Any]) -> None:
    for name, node in sorted(base[number].items()):
        held = base.get(node)
        place = f"{path}/{name}"
        if isinstance(held, dict):
            found.append((place, None))
            _walk(base, node, place, found)
        else:
            found.append((place, held or b""))
