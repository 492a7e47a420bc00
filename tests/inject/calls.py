"""The system calls that are disturbed, with the errors that each can give, and the points that a
first run of a program has: the n-th of a call, and what happens there. Pure.

What a call can give depends on what its descriptor is: a file may answer EIO, a pipe never does.
strace tells both: `openat(AT_FDCWD</>, "/x/journal.0", O_RDWR|O_CLOEXEC) = 7</x/journal.0>`.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import chain
from typing import NamedTuple

KILL = "KILL"
MOST_CALLS = 65535  # that strace counts to
FILE, NETWORK, NEW, MADE, OTHER = "file", "network", "new", "made", "other"

# call: {what it works on: errors}. NEW is a call that gives a descriptor which is no file's, MADE
# one that makes a name, OTHER what is on no disk. Every call may be the last one of a process, also
# those that cannot fail here.
CALLS: dict[str, dict[str, tuple[str, ...]]] = {
    "openat": {FILE: ("EIO", "EMFILE"), MADE: ("EIO", "EMFILE", "ENOSPC")},
    "read": {FILE: ("EIO",)},
    "pread64": {FILE: ("EIO",)},
    "write": {FILE: ("EIO", "ENOSPC")},
    "pwrite64": {FILE: ("EIO", "ENOSPC")},
    "fsync": {FILE: ("EIO", "ENOSPC")},
    "fdatasync": {FILE: ("EIO", "ENOSPC")},
    "ftruncate": {FILE: ("EIO", "ENOSPC")},
    "close": {FILE: ("EIO", "ENOSPC")},
    "lseek": {},
    "flock": {},
    "fcntl": {},
    "mmap": {},
    "newfstatat": {FILE: ("EIO",)},
    "statfs": {FILE: ("EIO",)},
    "access": {FILE: ("EIO",)},
    "getdents64": {FILE: ("EIO",)},
    "mkdir": {MADE: ("EIO", "ENOSPC")},
    "rename": {MADE: ("EIO", "ENOSPC")},
    "link": {MADE: ("EIO", "ENOSPC")},
    "unlink": {MADE: ("EIO",)},
    "rmdir": {MADE: ("EIO",)},
    "socket": {NEW: ("EMFILE",)},
    "socketpair": {NEW: ("EMFILE",)},
    "accept4": {NEW: ("EMFILE",)},
    "pipe2": {NEW: ("EMFILE",)},
    "epoll_create1": {NEW: ("EMFILE",)},
    "pidfd_open": {NEW: ("EMFILE",)},
    "connect": {NETWORK: ("ECONNREFUSED",)},
    "sendto": {NETWORK: ("ECONNRESET",)},
    "recvfrom": {NETWORK: ("ECONNRESET",)},
    "bind": {},
    "listen": {},
    "shutdown": {},
    "epoll_wait": {},
    "poll": {},
    "clone3": {NEW: ("EAGAIN",)},
    "vfork": {NEW: ("EAGAIN",)},
    "execve": {},
    "wait4": {},
}

# They work on a path, or on a descriptor that is given first.
_PATHS = ("openat", "newfstatat", "statfs", "access", "mkdir", "rename", "link", "unlink", "rmdir")
_POINT = re.compile(r"(?P<call>\w+):(?P<number>-?\d{1,9}):(?P<fault>\w+)", re.ASCII)
_CALL = re.compile(r"^(?P<task>\d+) +(?P<name>\w+)\((?P<rest>.*)$")
_DESCRIPTOR = re.compile(r"^(?P<number>\d+)<(?P<what>.*?)>(?=[,) ]|$)")
_PATH = re.compile(r'(?P<number>)"(?P<what>[^"]+)"')
_NO_DISK = ("/dev/", "/proc/", "/sys/")
_SAYS = ("1", "2")  # a pipe or a terminal in a real life


class Point(NamedTuple):
    """What happens at the `number`-th `call` of a thread: an error's name, or KILL."""

    call: str
    number: int
    fault: str

    def __str__(self) -> str:
        return f"{self.call}:{self.number}:{self.fault}"

    @classmethod
    def read(cls, text: str) -> "Point":
        """The point that `str` gave. Raises ValueError."""
        found = _POINT.fullmatch(text)
        if not found:
            raise ValueError(f"{text}: give CALL:NUMBER:FAULT, such as write:1:EIO")
        point = cls(found["call"], int(found["number"]), found["fault"])
        kinds = CALLS.get(point.call, {}).values()
        if point.call not in CALLS or point.fault not in {KILL, *chain.from_iterable(kinds)}:
            raise ValueError(f"{text}: no such call, or it does not give that")
        if not 1 <= point.number <= MOST_CALLS:
            raise ValueError(f"{text}: the number is from 1 to {MOST_CALLS}")
        return point


class Call(NamedTuple):
    """One line of strace that begins a call."""

    task: int
    name: str
    rest: str

    @property
    def errors(self) -> tuple[str, ...]:
        return CALLS[self.name].get(self._kind(), ())

    def _kind(self) -> str:
        kinds = CALLS[self.name]
        if NEW in kinds:
            return NEW
        if MADE in kinds and (FILE not in kinds or "O_CREAT" in self.rest):
            return MADE
        path = _PATH.search(self.rest) if self.name in _PATHS else None
        found = path or _DESCRIPTOR.match(self.rest)
        if not found or found["number"] in _SAYS:
            return OTHER
        if found["what"].startswith("TCP"):
            return NETWORK
        is_on_disk = not found["what"].startswith(_NO_DISK)
        return FILE if found["what"].startswith("/") and is_on_disk else OTHER


def calls(log: str) -> Iterator[Call]:
    """The calls in a log of strace -f -yy, each once."""
    for line in log.splitlines():
        found = _CALL.match(line)
        if found and found["name"] in CALLS:
            yield Call(int(found["task"]), found["name"], found["rest"])


def points(log: str) -> list[Point]:
    """All points of a program that has made these calls. strace counts the calls of each thread on
    its own, and so does this."""
    counts: Counter[tuple[int, str]] = Counter()
    found: dict[Point, None] = {}
    for call in calls(log):
        counts[call.task, call.name] += 1
        for fault in (KILL, *call.errors):
            found[Point(call.name, counts[call.task, call.name], fault)] = None
    return sorted(found)


class Hit(Enum):
    """What became of a point: it was reached; no thread made so many calls this time; or the calls
    that were hit cannot fail so in a real life, as another thread was the one that made them."""

    REACHED = "reached"
    MISSED = "missed"
    IMPOSSIBLE = "impossible"


def hit(log: str, point: Point) -> Hit:
    """Reads in the log what became of the point."""
    if point.fault == KILL:
        return Hit.REACHED if "+++ killed by SIGKILL +++" in log else Hit.MISSED
    found = list(_injected(log))
    if not found:
        return Hit.MISSED
    found += _cut_off(log, point)
    return Hit.REACHED if all(point.fault in one.errors for one in found) else Hit.IMPOSSIBLE


def _injected(log: str) -> Iterator[Call]:
    """The calls that were given an error. Of one that other lines came into, strace writes the end
    on a line of its own."""
    begun: dict[int, Call] = {}
    for line in log.splitlines():
        for call in calls(line):
            begun[call.task] = call
        task = line.split(" ", 1)[0]
        if "(INJECTED)" in line and task.isdigit() and int(task) in begun:
            yield begun[int(task)]


def _cut_off(log: str, point: Point) -> Iterator[Call]:
    """The calls that strace was in when it let go and that may have been given the error too, by
    their number: other threads make theirs at the same time."""
    counts: Counter[int] = Counter()
    begun: dict[int, Call] = {}
    for line in log.splitlines():
        task = line.split(" ", 1)[0]
        if task.isdigit():
            begun.pop(int(task), None)
        for call in calls(line):
            counts[call.task] += call.name == point.call
            if call.name == point.call and line.endswith("<unfinished ...>"):
                begun[call.task] = call
    return (call for task, call in begun.items() if counts[task] == point.number)


def spread(all_points: Sequence[Point], most: int) -> list[Point]:
    """At most so many of the points, evenly chosen, so that each call and each fault has some."""
    if most <= 0 or most >= len(all_points):
        return list(all_points)
    step = len(all_points) / most
    return [all_points[int((number + 0.5) * step)] for number in range(most)]
