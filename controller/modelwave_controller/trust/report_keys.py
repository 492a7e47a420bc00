"""The keys by which devices prove their reports (modelwave_shared.proofs).

The controller keeps one secret, report.key in the home folder, and derives each device's key from
it. A device's generation is counted up when its key is to change: by another key the reports of
the old one prove nothing.
"""

import hashlib
import hmac
import secrets
from pathlib import Path

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError
from modelwave_shared import proofs

NAME = "report.key"
_PURPOSE = b"modelwave device 1\n"


def device_report_key(master: bytes, device: str, generation: int) -> bytes:
    """Returns the 32 bytes of the key of a device's generation, from 1 on."""
    told = b"%s%s\n%d" % (_PURPOSE, device.encode(), generation)
    return hmac.digest(master, told, hashlib.sha256)


def create(folder: Path) -> bytes:
    """Draws the secret of a home that has none, and returns it. Raises OperatorError if there is
    one."""
    master = secrets.token_bytes(proofs.KEY_BYTES)
    disk.create_file(folder / NAME, master.hex().encode() + b"\n", 0o600)
    return master


def load(folder: Path) -> bytes | None:
    """Returns the secret in the home folder, None if there is none. Raises OperatorError if the
    file holds something else."""
    path = folder / NAME
    if not path.exists():
        return None
    data = disk.read_input(path, "report key", proofs.KEY_CHARACTERS + 2)
    try:
        return bytes(proofs.key_of(data.decode("ascii", "replace").rstrip("\r\n")))
    except ValueError as error:
        raise OperatorError(f"{path}: {error}; put the right one back") from error
