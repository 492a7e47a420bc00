"""Computes sha256 in lower-case hex digits, the form in documents and in the journal."""

import binascii
import hashlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _hashlib import HASH


def hexdigest(data: bytes) -> str:
    return hexed(hashlib.sha256(data))


def hexed(digest: "HASH") -> str:
    """Returns the digest of a hash object in hex. Call it once, at the end: MicroPython allows
    no second digest, and has no hexdigest."""
    return binascii.hexlify(digest.digest()).decode()
