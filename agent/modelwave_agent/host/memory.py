"""The memory that a Linux host has for a model.

Files of /proc are read as UTF-8, which Python has from its start on. Another codec is imported when
it is asked for first: if the disk cannot be read at that moment, Python notes that there is none,
and no order could be judged until the next start.
"""


def available_bytes() -> int:
    """Returns the memory that Linux can provide without swapping (proc(5), MemAvailable)."""
    return bytes_of("/proc/meminfo", "MemAvailable:")


def bytes_of(path: str, name: str) -> int:
    """Returns what the line `name` of a file of /proc says, which is in KiB; 0 if it has none."""
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return 0
