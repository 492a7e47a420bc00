"""Hashes of passwords as Mosquitto writes them: `$7$iterations$salt$hash`, PBKDF2 with SHA-512.

The passwords that modelwave draws are random, 256 bits of them: many iterations would protect them
no better, and would let no fleet reconnect at once. So hashes are made with Mosquitto's default.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets

ITERATIONS = 101
MAX_ITERATIONS = 1_000_000  # about half a second
QUICK_ITERATIONS = 1000  # a millisecond at most
_SALT_BYTES, _HASH_BYTES = 12, 64
_FORM = re.compile(r"\$7\$([0-9]{1,7})\$([A-Za-z0-9+/]{4,100}={0,2})\$([A-Za-z0-9+/]{86}==)")


def hash_random(password: str) -> str:
    """Returns a hash of a password that was drawn at random; it differs each time by its salt."""
    salt = secrets.token_bytes(_SALT_BYTES)
    digest = _digest(password, salt, ITERATIONS)
    return f"$7${ITERATIONS}${_base64(salt)}${_base64(digest)}"


def is_hash(text: str) -> bool:
    return _parts(text) is not None


def is_quick(text: str) -> bool:
    """Returns whether this is such a hash, and one that is verified at once."""
    parts = _parts(text)
    return parts is not None and parts[0] <= QUICK_ITERATIONS


def verify(text: str, password: str) -> bool:
    parts = _parts(text)
    if parts is None:
        return False
    iterations, salt, digest = parts
    return hmac.compare_digest(_digest(password, salt, iterations), digest)


def _parts(text: str) -> tuple[int, bytes, bytes] | None:
    found = _FORM.fullmatch(text)
    if found is None or not 1 <= int(found[1]) <= MAX_ITERATIONS:
        return None
    try:
        return int(found[1]), base64.b64decode(found[2], validate=True), base64.b64decode(found[3])
    except binascii.Error:
        return None


def _digest(password: str, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations, _HASH_BYTES)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
