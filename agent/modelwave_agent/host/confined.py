"""Runs a program that runs a model of unknown origin, without network, keys and other files.

    python -I -S confined.py ALLOWED COMMAND…
    python -I -S confined.py what

ALLOWED is JSON: {"read": paths, "write": paths, "list": folders whose names may be read, "pythons":
the other Pythons that it starts}. Taken away from the command and all that it starts are:

    files    all but the system's, Python's and the allowed ones (Landlock); with them the memory,
             environment and open files of other processes, and signals to them
    network  every socket, also those of the file system, such as an agent's with keys (seccomp);
             a pair of stream sockets is left
    limits   of other processes (seccomp)
    rights   capabilities, set-user-ID programs, core files

It stands alone: it imports nothing of ours, so that it can be run by path and before any library
has started a thread, which would keep its rights. `what` prints as JSON what this kernel can do:
{"files": true, "network": true}. What it cannot do is left out; who starts it says so to people.
"""

import contextlib
import ctypes
import json
import os
import platform
import resource
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 38, 22, 24
_SECCOMP_MODE_FILTER = 2
_LAST_CAPABILITY = 63
# landlock(7); the numbers of the calls are the same on all machines.
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_VERSION = 1  # flag
_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_READ = _EXECUTE | _READ_FILE | _READ_DIR
# All rights over files that the versions of Landlock know, by version.
_RIGHTS = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF, 5: 0xFFFF}

# Below a prefix such as /usr or a venv; not all of it, as somebody may keep a home folder there.
_PARTS = ("bin", "sbin", "lib", "lib32", "lib64", "libexec", "share", "local/lib", "local/bin")
_SYSTEM = ("/lib", "/lib32", "/lib64", "/bin", "/sbin", "/proc", "/sys", "/nix/store")
_ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "passwd")
_DEVICES = ("null", "zero", "full", "random", "urandom", "apex_*", "nvidia*", "nvhost*", "nvmap")

# Calls that reach other machines, other processes or the kernel's keys, by machine: the constant of
# <linux/audit.h>, and the numbers.
_CALLS = {
    "x86_64": (
        0xC000003E,
        {
            "socket": 41,
            "connect": 42,
            "ptrace": 101,
            "mount": 165,
            "add_key": 248,
            "request_key": 249,
            "keyctl": 250,
            "unshare": 272,
            "perf_event_open": 298,
            "open_by_handle_at": 304,
            "setns": 308,
            "process_vm_readv": 310,
            "process_vm_writev": 311,
            "bpf": 321,
            "io_uring_setup": 425,
            "pidfd_getfd": 438,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "socket": 198,
            "connect": 203,
            "ptrace": 117,
            "mount": 40,
            "add_key": 217,
            "request_key": 218,
            "keyctl": 219,
            "unshare": 97,
            "perf_event_open": 241,
            "open_by_handle_at": 265,
            "setns": 268,
            "process_vm_readv": 270,
            "process_vm_writev": 271,
            "bpf": 280,
            "io_uring_setup": 425,
            "pidfd_getfd": 438,
        },
    ),
}
# Calls that are refused for some of their arguments.
_PAIR = {"x86_64": 53, "aarch64": 199}  # socketpair
_LIMIT = {"x86_64": 302, "aarch64": 261}  # prlimit64
_X32 = 0x40000000  # calls of a third kind on x86_64
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050001  # SECCOMP_RET_ALLOW; SECCOMP_RET_ERRNO with EPERM
_LOAD, _AND, _IS, _IS_AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06  # <linux/bpf_common.h>
_FIRST, _SECOND = 16, 24  # where the arguments of a call are (struct seccomp_data)

_libc = ctypes.CDLL(None, use_errno=True)


def main(arguments: Sequence[str]) -> int:
    if list(arguments) == ["what"]:
        is_linux = sys.platform == "linux"
        can = {"files": _landlock_version() > 0, "network": _knows_calls()} if is_linux else {}
        print(json.dumps({"files": False, "network": False, **can}))
        return 0
    allowed, command = json.loads(arguments[0]), list(arguments[1:])
    try:
        if sys.platform == "linux":
            confine(allowed, [command[0], *allowed["pythons"]])
        os.execv(command[0], command)
    except OSError as error:
        print(f"it cannot be started: {error.strerror}", file=sys.stderr)
        return 1


def confine(allowed: Mapping[str, Sequence[str]], pythons: Sequence[str]) -> None:
    """Takes away the rights of this thread and of what it starts, as far as this kernel can. Files
    of the prefixes of `pythons` may be read."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    _drop_capabilities()
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if _landlock_version() > 0:
        read = [*_system(pythons), *map(Path, allowed["read"])]
        _restrict_files(read, map(Path, allowed["write"]), map(Path, allowed["list"]))
    if _knows_calls():
        _refuse_calls(platform.machine())


def _drop_capabilities() -> None:
    """For root: it has none, also in programs that it executes."""
    for number in range(_LAST_CAPABILITY + 1):
        _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)
    header = struct.pack("=II", 0x20080522, 0)  # version 3, this process
    _libc.capset(header, struct.pack("=6I", 0, 0, 0, 0, 0, 0))


def _system(pythons: Sequence[str]) -> Iterator[Path]:
    """Yields what every program reads, and the files of `pythons`, which may be of virtual
    environments."""
    yield from map(Path, _SYSTEM)
    yield from (Path("/etc") / name for name in _ETC)
    prefixes = {Path("/usr"), Path(sys.base_prefix)}
    for path in map(Path, pythons):
        prefixes |= {path.parent.parent, path.resolve().parent.parent}
        yield from (path, path.resolve())
    for prefix in prefixes - {Path("/")}:
        yield prefix / "pyvenv.cfg"
        yield from (prefix / part for part in _PARTS)


def _landlock_version() -> int:
    """Returns the version of Landlock; 0 or less if there is none."""
    return int(_libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), _VERSION))


def _restrict_files(read: Iterable[Path], write: Iterable[Path], names: Iterable[Path]) -> None:
    version = _landlock_version()
    rights = _RIGHTS[min(version, max(_RIGHTS))]
    # Rights over files, connections over TCP (version 4), signals and abstract sockets (version 6).
    fields = [rights] + [3] * (version >= 4) + [3] * (version >= 6)
    asked = struct.pack(f"={len(fields)}Q", *fields)
    rules = _checked(_libc.syscall(_LANDLOCK_CREATE, asked, ctypes.c_size_t(len(asked)), 0))
    for path in read:
        _allow(rules, path, _READ & rights)
    for path in write:
        _allow(rules, path, rights)
    for path in names:
        _allow(rules, path, _READ_DIR)
    for pattern in _DEVICES:
        for path in Path("/dev").glob(pattern):
            _allow(rules, path, (_READ_FILE | _WRITE_FILE | _IOCTL_DEV) & rights)
    # Its own process measures itself; the others are not in its domain.
    _allow(rules, Path("/proc/self"), (_READ | _WRITE_FILE | _TRUNCATE) & rights)
    _checked(_libc.syscall(_LANDLOCK_RESTRICT, rules, 0))
    os.close(rules)


def _allow(rules: int, path: Path, rights: int) -> None:
    """Adds the rights over `path` and all below it, if it exists."""
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not path.is_dir():
            rights &= _OF_FILES
        rule = struct.pack("=Qi", rights, opened)
        _checked(_libc.syscall(_LANDLOCK_ADD, rules, _PATH_BENEATH, rule, 0))
    finally:
        os.close(opened)


def _knows_calls() -> bool:
    return platform.machine() in _CALLS and Path("/proc/sys/kernel/seccomp").exists()


def _refuse_calls(machine: str) -> None:
    """Makes the kernel refuse the calls in _CALLS, those of `_partly`, and all of other kinds than
    the machine's own."""
    (audit, calls), partly = _CALLS[machine], _partly(machine)
    left = len(calls) + len(partly) + 1  # tests until the refusal
    filters = [(_LOAD, 0, 0, 4), (_IS, 0, left + 2, audit), (_LOAD, 0, 0, 0)]
    filters.append((_IS_AT_LEAST, left, 0, _X32))
    for place, number in enumerate(calls.values()):
        filters.append((_IS, left - 1 - place, 0, number))
    filters += [*partly, (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
    code = b"".join(struct.pack("=HBBI", *one) for one in filters)
    held = ctypes.create_string_buffer(code)
    program = struct.pack("@HP", len(filters), ctypes.addressof(held))
    _checked(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0))


def _partly(machine: str) -> list[tuple[int, int, int, int]]:
    """Refuses the limits of another process than the caller's, and a pair of sockets that are no
    streams: a datagram can be sent to any socket of the file system, also by one of a pair."""
    stream, packets, kind = 1, 5, 15  # SOCK_STREAM, SOCK_SEQPACKET, and the bits that say which
    limit = [(_LOAD, 0, 0, _FIRST), (_IS, 1, 0, 0)]
    pair = [(_LOAD, 0, 0, _FIRST), (_IS, 1, 0, 1), (_RETURN, 0, 0, _REFUSE)]  # AF_UNIX
    pair += [(_LOAD, 0, 0, _SECOND), (_AND, 0, 0, kind), (_IS, 2, 0, stream), (_IS, 1, 0, packets)]
    found = []
    for number, tests in ((_LIMIT[machine], limit), (_PAIR[machine], pair)):
        tests = [*tests, (_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)]
        found += [(_IS, 0, len(tests), number), *tests]
    return found


def _checked(result: int) -> int:
    """Returns the result of a call. Raises OSError if it has failed: then nothing is run."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
