"""Takes secrets out of the environment, before anything else runs.

Every program that a process starts inherits its environment, and other processes of the user can
read it in /proc/PID/environ. So a command takes its passphrases out when it begins, and the memory
of /proc's copy is overwritten.
"""

import contextlib
import ctypes
import os

PASSPHRASE = "MODELWAVE_PASSPHRASE"  # of offline keys, or the PIN of their token
ORDER_PASSPHRASE = "MODELWAVE_ORDER_PASSPHRASE"  # of the order key, or the PIN of its token
TOKEN = "MODELWAVE_TOKEN"  # of who asks a service at --server
SECRETS = (PASSPHRASE, ORDER_PASSPHRASE, TOKEN)

_taken: dict[str, bytes] = {}


def take_secrets() -> None:
    """Takes all secrets out of this process's environment, for `secret`."""
    for name in SECRETS:
        given = os.environb.get(name.encode())
        if given is not None:
            _overwrite(name)
            _taken[name] = given
            del os.environ[name]


def secret(name: str) -> bytes | None:
    """Returns the secret of this name, None if none was given."""
    return os.environb.get(name.encode(), _taken.get(name))


def _overwrite(name: str) -> None:
    """Overwrites the variable's value where the process was given it; `del os.environ` only takes
    it out of the list."""
    with contextlib.suppress(AttributeError, OSError):  # a system without the C function
        library = ctypes.CDLL(None)
        library.getenv.restype = ctypes.c_void_p
        place = library.getenv(name.encode())
        if place:
            ctypes.memset(place, 0, len(ctypes.string_at(place)))
