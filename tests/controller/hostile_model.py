"""Tries what a hostile model could try, and prints as JSON what came of each: "got"
or the error. It imports only Python, and knows where the secrets are:

    python hostile_model.py PARENT KEY TCP_PORT UNIX_SOCKET FOLDER
"""

import ctypes
import json
import os
import platform
import resource
import socket
import sys
from pathlib import Path

parent, key, port, path, folder = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
PTRACE_ATTACH = 16
IO_URING_SETUP, PIDFD_OPEN, PIDFD_GETFD = 425, 434, 438
PROCESS_VM_READV = {"x86_64": 310, "aarch64": 270}.get(platform.machine(), -1)


def call(*arguments):
    result = libc.syscall(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def attached():
    if libc.ptrace(PTRACE_ATTACH, int(parent), None, None) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    os.waitpid(int(parent), 0)


def listened(place):
    with socket.socket(socket.AF_UNIX if isinstance(place, str) else socket.AF_INET) as one:
        one.connect(place)


def told(place):
    """A pair of sockets is connected already, and may send elsewhere all the same."""
    for one in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM):
        one.sendto(b"forged", place)


TRIES = {
    "key": lambda: Path(key).read_bytes(),
    "folder of the key": lambda: os.listdir(Path(key).parent),
    "shadow": lambda: Path("/etc/shadow").read_bytes(),
    "another file": lambda: (Path(folder) / "left").write_text("x"),
    "environment of the parent": lambda: Path(f"/proc/{parent}/environ").read_bytes(),
    "memory of the parent": lambda: open(f"/proc/{parent}/mem", "rb").close(),
    "memory by a call": lambda: call(PROCESS_VM_READV, int(parent), 0, 0, 0, 0, 0),
    "a file that the parent has open": lambda: call(
        PIDFD_GETFD, call(PIDFD_OPEN, int(parent), 0), 0, 0
    ),
    "attach": attached,
    "signal": lambda: os.kill(int(parent), 0),
    "TCP": lambda: listened(("127.0.0.1", int(port))),
    "UDP": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close(),
    "agent of keys": lambda: listened(path),
    "log": lambda: told(f"{folder}/log"),
    "limits": lambda: resource.prlimit(int(parent), resource.RLIMIT_NOFILE, (64, 64)),
    "io_uring": lambda: call(IO_URING_SETUP, 1, ctypes.create_string_buffer(120)),
    "what the kernel does with core files": lambda: open(
        "/proc/sys/kernel/core_pattern", "r+"
    ).close(),
}


def tried(attempt):
    try:
        attempt()
    except OSError as error:
        return f"{error.strerror}"
    return "got"


found = {name: tried(attempt) for name, attempt in TRIES.items() if name != "attach"}
found["environment"] = sorted(os.environ)
found["core"] = resource.getrlimit(resource.RLIMIT_CORE)
status = Path("/proc/self/status").read_text().splitlines()
found["rights"] = [line.split()[1] for line in status if line.startswith(("CapEff", "NoNewPriv"))]
found["attach"] = tried(TRIES["attach"])  # last, as it stops the parent
print(json.dumps(found))
