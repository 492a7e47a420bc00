"""Modules that are in memory only while they are needed.

A device is idle for weeks and at an update for a minute. What only an update needs is
imported where it is needed, inside a Phase, and forgotten when nobody is in that phase any
more: on a board the code then leaves the heap again, and the model may have the room.
CPython keeps its modules.
"""

import gc
import sys


class Phase:
    """`with PHASE:` around the work. Whatever refers to the modules' code must be gone by its
    end, so the import stands in a function that is called inside."""

    def __init__(self, *modules: str) -> None:
        """`modules`: their full names."""
        self.modules = modules
        self.users = 0

    def __enter__(self) -> None:
        if not self.users:
            tidy(())  # or the code would come to lie among garbage, and leave holes there
        self.users += 1

    def __exit__(self, *_: object) -> None:
        self.users -= 1
        if not self.users:
            tidy(self.modules)


def tidy(modules: "tuple[str, ...]") -> None:
    """Forgets the modules, and collects what is garbage."""
    if hasattr(gc, "mem_free"):
        for name in modules:
            if sys.modules.pop(name, None):
                package, _, module = name.rpartition(".")
                del sys.modules[package].__dict__[module]
        gc.collect()
