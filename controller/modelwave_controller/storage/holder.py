"""Says whether the process that holds a lease is there, as far as this process can see that."""

import os
from pathlib import Path

from modelwave_controller.storage.lease import Lease


def place() -> str:
    """Returns the same for processes that see each other's process ids: the boot of the machine and
    the namespace. "" where the system does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def is_there(found: Lease) -> bool | None:
    """Returns whether the holder's process is there, or another one with its id. None: it runs on
    another machine or in another container, or nobody holds the lease."""
    if not found.place or found.place != place():
        return None
    try:
        os.kill(found.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # a process of somebody else
    return True
