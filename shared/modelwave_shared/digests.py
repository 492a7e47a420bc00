"""sha256 in lower-case hex digits, as documents and the journal write it."""

import binascii
import hashlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _hashlib import HASH


def hexdigest(data: bytes) -> str:
    return hexed(hashlib.sha256(data))


def hexed(digest: "HASH") -> str:
    """Ends the hashing: MicroPython's has no hexdigest, and may be asked once."""
    return binascii.hexlify(digest.digest()).decode()
