"""Ed25519 keys in files, and documents signed with them.

A key file is PKCS #8 in PEM, so that `openssl` reads it too. Offline keys (root, release)
are always under a passphrase; the controller's order key may be without one, as a service
that starts alone has nobody to ask. Files are made for their owner only (0600) and never
overwritten.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError
from modelwave_controller.trust import pkcs8
from modelwave_shared import documents, dsse

MAX_KEY_FILE_BYTES = 16384
_ENCRYPTED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
_PUBLIC = b"-----BEGIN PUBLIC KEY-----"

# Asks for the passphrase; called only for a file that needs one.
Ask = Callable[[], bytes]


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


def generate() -> SigningKey:
    return SigningKey(Ed25519PrivateKey.generate())


def create_key(path: Path, passphrase: bytes | None) -> SigningKey:
    """A new key in a new file; `passphrase` None leaves it open to whoever reads the file.
    Raises OperatorError if the file exists or the passphrase is empty."""
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
    """The key in a file. Raises OperatorError if it is none, is no Ed25519 key, or the
    passphrase does not open it."""
    data = disk.read_input(path, "key", MAX_KEY_FILE_BYTES)
    passphrase = ask() if _ENCRYPTED in data else None
    try:
        private = serialization.load_pem_private_key(data, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if passphrase is not None:
            raise OperatorError(f"{path}: the passphrase does not open it") from error
        raise OperatorError(f"{path}: not a private key in PEM (PKCS #8)") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise OperatorError(f"{path}: not an Ed25519 key; make one with `modelwave key create`")
    return SigningKey(private)


def load_public(path: Path, ask: Ask) -> bytes:
    """The raw public key in a file that holds a public key or a private one."""
    data = disk.read_input(path, "key", MAX_KEY_FILE_BYTES)
    if _PUBLIC not in data:
        return load_key(path, ask).public
    try:
        public = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise OperatorError(f"{path}: not a public key in PEM") from error
    if not isinstance(public, Ed25519PublicKey):
        raise OperatorError(f"{path}: not an Ed25519 key")
    return public.public_bytes_raw()


def public_pem(public: bytes) -> bytes:
    """The raw public key as `openssl pkeyutl -pubin` takes it."""
    return Ed25519PublicKey.from_public_bytes(public).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def canonical(document: Mapping[str, Any]) -> bytes:
    """The one spelling in which we write a document. Readers never rely on it: they verify
    the bytes that came."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def sign(kind: str, payload: bytes, signers: Sequence[SigningKey]) -> bytes:
    """The envelope's bytes. The payload is read back first, by the reader that devices use:
    what they would refuse is never signed. Raises OperatorError."""
    try:
        documents.read(kind, payload)
        message = dsse.signed_bytes(kind, payload)
        signatures = [(key.keyid, key.private.sign(message)) for key in signers]
        return bytes(dsse.write(kind, payload, signatures))
    except ValueError as error:
        raise OperatorError(f"cannot be signed: {error}") from error
