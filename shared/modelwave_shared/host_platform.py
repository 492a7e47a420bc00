"""The platform of this host: what decides which wheels it can install. It needs CPython, so no
board imports it.

A host offers it under a name such as "cp311-aarch64-glibc", with the version of its libc, and a
release of the agent needs it like a runtime: "cp311-aarch64-glibc>=2.28".
"""

import functools
import platform
import struct
import sys

from modelwave_shared.agent_releases import AGENT_BUNDLE

WHEELHOUSE_FORM = "1"  # the highest form of wheelhouses that this agent installs (wheelhouse.py)
GLIBC, MUSL = "glibc", "musl"
# A kernel of 64 bits may run programs of 32; then it tells its own machine.
_OF_32_BITS = {"x86_64": "i686", "aarch64": "armv7l"}


def offered() -> dict[str, str]:
    """Returns {name: version} of what a release of the agent may need of this host."""
    libc, version = _libc()
    return {AGENT_BUNDLE: WHEELHOUSE_FORM, f"{_python()}-{_machine()}-{libc}": version}


def own() -> str:
    """Returns what a release needs that is for this host's platform and later versions of its
    libc."""
    libc, version = _libc()
    least = f">={version}" if version else ""
    return f"{_python()}-{_machine()}-{libc}{least}"


def _python() -> str:
    name = {"cpython": "cp"}.get(sys.implementation.name, sys.implementation.name)
    return f"{name}{sys.version_info[0]}{sys.version_info[1]}"


def _machine() -> str:
    machine = platform.machine() or "unknown"
    return _OF_32_BITS.get(machine, machine) if struct.calcsize("P") == 4 else machine


@functools.cache  # on musl the interpreter's file is read for it
def _libc() -> tuple[str, str]:
    """Returns its name and version; musl does not tell its version."""
    name, version = platform.libc_ver()
    return (GLIBC, version) if name == GLIBC else (MUSL, "")
