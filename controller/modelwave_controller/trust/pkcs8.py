"""Encrypts private keys with a passphrase, in a format that `openssl` reads (PKCS #8, RFC 5958).

`cryptography` uses 2,048 rounds of PBKDF2, too few for a key that a whole fleet trusts and
whose file may be copied. So this module writes the format (PBES2, RFC 8018, A.4) itself, with
the number of rounds that OWASP's Password Storage Cheat Sheet requires for PBKDF2-HMAC-SHA256;
any PKCS #8 reader takes the number from the file.
"""

import base64
import hashlib
import os
import textwrap

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

PBKDF2_ROUNDS = 600_000

_INTEGER, _OCTETS, _NULL, _OID, _SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30
_PBES2 = bytes.fromhex("2a864886f70d01050d")  # 1.2.840.113549.1.5.13
_PBKDF2 = bytes.fromhex("2a864886f70d01050c")  # 1.2.840.113549.1.5.12
_HMAC_SHA256 = bytes.fromhex("2a864886f70d0209")  # 1.2.840.113549.2.9
_AES256_CBC = bytes.fromhex("60864801650304012a")  # 2.16.840.1.101.3.4.1.42


def encrypted_pem(private_key_info: bytes, passphrase: bytes) -> bytes:
    """Returns `private_key_info` (unencrypted PKCS #8 in DER) as PEM with ENCRYPTED PRIVATE KEY."""
    salt, iv = os.urandom(16), os.urandom(16)
    secret = hashlib.pbkdf2_hmac("sha256", passphrase, salt, PBKDF2_ROUNDS, 32)
    pad = PKCS7(128).padder()
    cipher = Cipher(algorithms.AES(secret), modes.CBC(iv)).encryptor()
    padded = pad.update(private_key_info) + pad.finalize()
    derivation = _sequence(
        _der(_OCTETS, salt),
        _der(_INTEGER, PBKDF2_ROUNDS.to_bytes(PBKDF2_ROUNDS.bit_length() // 8 + 1, "big")),
        _sequence(_der(_OID, _HMAC_SHA256), _der(_NULL)),
    )
    how = _sequence(
        _sequence(_der(_OID, _PBKDF2), derivation),
        _sequence(_der(_OID, _AES256_CBC), _der(_OCTETS, iv)),
    )
    der = _sequence(
        _sequence(_der(_OID, _PBES2), how),
        _der(_OCTETS, cipher.update(padded) + cipher.finalize()),
    )
    body = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return (
        f"-----BEGIN ENCRYPTED PRIVATE KEY-----\n{body}\n-----END ENCRYPTED PRIVATE KEY-----\n"
    ).encode()


def _sequence(*parts: bytes) -> bytes:
    return _der(_SEQUENCE, b"".join(parts))


def _der(tag: int, content: bytes = b"") -> bytes:
    """Encodes tag, length and content (X.690, 8.1); the content has at most 255 bytes."""
    length = bytes([len(content)]) if len(content) < 128 else bytes([0x81, len(content)])
    return bytes([tag]) + length + content
