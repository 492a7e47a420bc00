"""Proves which device has sent a report or a window (metrics), by a key that only that device and
the controller have:

    JSON, newline, 64 hex digits of HMAC-SHA256(key, "modelwave report 1\n" topic "\n" JSON)

The topic is in it, so that a report is not taken for a window, or for another device's. That no
message is taken twice is up to its numbers (boot, n) and its install. A message without a proof is
the JSON alone, which never ends like this.
"""

import binascii
import hashlib

KEY_BYTES = 32
KEY_CHARACTERS = 2 * KEY_BYTES
PROOF_BYTES = 1 + 64  # the newline and the digits
_BLOCK_BYTES = 64  # of SHA-256
_DIGITS = "0123456789abcdef"
_PURPOSE = b"modelwave report 1\n"


def hmac_sha256(key: bytes, *parts: bytes) -> bytes:
    """Returns the HMAC (RFC 2104) of the parts, one after the other."""
    if len(key) > _BLOCK_BYTES:
        key = hashlib.sha256(key).digest()
    inner = hashlib.sha256(_padded(key, 0x36))
    for part in parts:
        inner.update(part)
    outer = hashlib.sha256(_padded(key, 0x5C))
    outer.update(inner.digest())
    found: bytes = outer.digest()
    return found


def _padded(key: bytes, byte: int) -> bytes:
    """Returns the key, filled up to a block, XOR that byte. A loop would be slower on a board."""
    block = int.from_bytes(key + bytes(_BLOCK_BYTES - len(key)), "big")
    mask = int.from_bytes(bytes([byte]) * _BLOCK_BYTES, "big")
    return (block ^ mask).to_bytes(_BLOCK_BYTES, "big")


def key_of(digits: str) -> bytes:
    """Returns the key with these 64 hex digits. Raises ValueError, without the digits."""
    if type(digits) is not str or len(digits) != KEY_CHARACTERS or digits.strip(_DIGITS):
        raise ValueError("a report key is %d digits of 0-9 a-f" % KEY_CHARACTERS)
    return binascii.unhexlify(digits)


def proof(key: bytes, topic: str, document: bytes) -> bytes:
    """Returns the digits that prove that the device with this key sent `document` to `topic`."""
    return binascii.hexlify(hmac_sha256(key, _PURPOSE, topic.encode(), b"\n", document))


def sealed(key: bytes, topic: str, document: bytes) -> bytes:
    """Returns the payload of `document` with its proof."""
    return b"\n".join((document, proof(key, topic, document)))


def split(payload: bytes) -> "tuple[bytes, bytes]":
    """Returns the document in a payload, and the digits of its proof; b"" if it has none."""
    at = len(payload) - PROOF_BYTES
    if at < 0 or payload[at] != 0x0A:
        return payload, b""
    return payload[:at], payload[at + 1 :]
