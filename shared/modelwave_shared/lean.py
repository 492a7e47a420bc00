"""Keeps modules in memory only while they are needed.

A device is idle for weeks and updates for a minute. Modules that only an update needs are
imported inside a Phase, and removed when no task is in that phase any more. On a board this frees
their heap, which the model can use. CPython keeps its modules.
"""

import gc
import sys


class Phase:
    """A set of modules, used as `with PHASE:`. At its end nothing may refer to the modules' code,
    so write the import into a function that is called inside."""

    def __init__(self, *modules: str) -> None:
        """`modules`: their full names."""
        self.modules = modules
        self.users = 0

    def __enter__(self) -> None:
        if not self.users:
            tidy(())  # else the code is loaded between garbage, and fragments the heap
        self.users += 1

    def __exit__(self, *_: object) -> None:
        self.users -= 1
        if not self.users:
            tidy(self.modules)


def tidy(modules: "tuple[str, ...]") -> None:
    """Removes the modules, and collects the garbage."""
    if hasattr(gc, "mem_free"):
        for name in modules:
            if sys.modules.pop(name, None):
                package, _, module = name.rpartition(".")
                del sys.modules[package].__dict__[module]
        gc.collect()
