"""Reads and writes Ed25519 key files, and signs documents.

A key file is PKCS #8 in PEM, which `openssl` can read too. Offline keys (root, release) always
have a passphrase; the controller's order key may have none, as a service that starts unattended
cannot ask for it. Files are created for their owner only (0600) and never overwritten.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError
from modelwave_controller.trust import pkcs8
from modelwave_shared import documents, dsse
from modelwave_shared.errors import EnvelopeError

MAX_KEY_FILE_BYTES = 16384
# What `cryptography` raises for a file that is no key or has another passphrase. InternalError: for
# some that OpenSSL refuses, such as a key of X448 with too few bytes.
UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, InternalError)
_ENCRYPTED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
_PRIVATE = b"PRIVATE KEY-----"
_PUBLIC = b"-----BEGIN PUBLIC KEY-----"

# Returns the passphrase; called only for an encrypted file.
Ask = Callable[[], bytes]


class Signer(Protocol):
    """A key that signs, wherever it is. `public` is the raw public key, `keyid` its first 8 hex
    digits of sha256."""

    @property
    def public(self) -> bytes: ...

    @property
    def keyid(self) -> str: ...

    def look(self) -> str:
        """Finds out whether it can sign now; returns why it cannot, or ""."""

    def sign(self, message: bytes) -> bytes:
        """Returns the signature (64 bytes). Raises KeyAwayError."""


@dataclass(frozen=True)
class SigningKey:
    """A private key in memory."""

    private: Ed25519PrivateKey

    @cached_property
    def public(self) -> bytes:
        """The raw 32 bytes of the public key."""
        return self.private.public_key().public_bytes_raw()

    @property
    def keyid(self) -> str:
        """First 8 hex digits of sha256 of the raw public key."""
        return str(dsse.keyid(self.public))

    def look(self) -> str:
        return ""

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message)


def generate() -> SigningKey:
    return SigningKey(Ed25519PrivateKey.generate())


def create_key(path: Path, passphrase: bytes | None) -> SigningKey:
    """Makes a key in a new file; without a `passphrase` the file is not encrypted. Raises
    OperatorError if the file exists or the passphrase is empty."""
    if passphrase is not None and not passphrase:
        raise OperatorError("passphrase: empty; an offline key needs one")
    key = generate()
    plain = key.private.private_bytes(
        serialization.Encoding.PEM if passphrase is None else serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    data = plain if passphrase is None else pkcs8.encrypted_pem(plain, passphrase)
    disk.create_file(path, data, 0o600)
    return key


def load_key(path: Path, ask: Ask) -> SigningKey:
    """Reads a private key. Raises OperatorError if the file is not an Ed25519 key in PEM, or the
    passphrase is wrong."""
    data = disk.read_input(path, "key", MAX_KEY_FILE_BYTES)
    passphrase = ask() if is_encrypted(data) else None
    try:
        private = serialization.load_pem_private_key(data, passphrase)
    except UNREADABLE as error:
        if passphrase is not None:
            raise OperatorError(
                f"{path}: the passphrase is wrong, or the file is damaged"
            ) from error
        raise OperatorError(f"{path}: not a private key in PEM (PKCS #8)") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise OperatorError(f"{path}: not an Ed25519 key; make one with `modelwave key create`")
    return SigningKey(private)


def load_public(path: Path, ask: Ask) -> bytes:
    """Returns the raw public key of a public or private key file. Raises OperatorError."""
    data = disk.read_input(path, "key", MAX_KEY_FILE_BYTES)
    if _PUBLIC not in data:
        return load_key(path, ask).public
    try:
        public = serialization.load_pem_public_key(data)
    except UNREADABLE as error:
        raise OperatorError(f"{path}: not a public key in PEM") from error
    if not isinstance(public, Ed25519PublicKey):
        raise OperatorError(f"{path}: not an Ed25519 key; make one with `modelwave key create`")
    return public.public_bytes_raw()


def is_private(data: bytes) -> bool:
    """Returns whether a key file's contents have a private key in them."""
    return _PRIVATE in data


def is_encrypted(data: bytes) -> bool:
    return _ENCRYPTED in data


def public_pem(public: bytes) -> bytes:
    """Returns the raw public key in the PEM format that `openssl pkeyutl -pubin` reads."""
    return Ed25519PublicKey.from_public_bytes(public).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def canonical(document: Mapping[str, Any]) -> bytes:
    """Returns the JSON encoding in which the controller writes a document. Readers do not rely on
    it: they verify the bytes that they received."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def sign(kind: str, payload: bytes, signers: Sequence[Signer]) -> bytes:
    """Returns the bytes of the envelope. First it checks the payload with the code that devices
    use, and never signs what they would refuse. Raises OperatorError, KeyAwayError."""
    try:
        documents.read(kind, payload)
        message = dsse.signed_bytes(kind, payload)
        signatures = [(key.keyid, key.sign(message)) for key in signers]
        return bytes(dsse.write(kind, payload, signatures))
    except EnvelopeError as error:
        raise OperatorError(
            f"the document cannot be signed: {error}; give it fewer or shorter names, lists, texts"
        ) from error
    except ValueError as error:
        raise OperatorError(f"the document cannot be signed: {error}") from error
