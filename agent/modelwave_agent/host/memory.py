"""The memory that a Linux host has for a model."""


def available_bytes() -> int:
    """Returns the memory that Linux can provide without swapping (proc(5), MemAvailable)."""
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0
