"""Keys, credentials and bundles, which people bring."""

import io
import tarfile
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from modelwave_controller.broker.credentials import read_credentials
from modelwave_controller.broker.errors import BrokerError
from modelwave_controller.broker.pbkdf2 import is_hash
from modelwave_controller.errors import OperatorError
from modelwave_controller.releases import bundle_tar
from modelwave_controller.releases.bundle_tar import MANIFEST_FILE, MAX_FILES
from modelwave_controller.trust import keys, token_uri
from modelwave_shared.limits import MAX_ENVELOPE_BYTES
from tests.core import signed
from tests.fuzz import scratch
from tests.fuzz.judging import require_line


class _Encrypted(Exception):
    """It wants a passphrase. Its number of rounds may take hours, as the file says."""


def key(data: bytes) -> bool:
    """A file of a private or a public key: what is taken is 32 bytes, and the key that is written
    of them is read as the same."""
    try:
        public = keys.load_public(scratch.put("key.pem", data), _ask)
    except (OperatorError, _Encrypted):
        return False
    assert len(public) == 32
    again = keys.load_public(scratch.put("key.pem", keys.public_pem(public)), _ask)
    assert again == public
    return True


def _ask() -> bytes:
    raise _Encrypted


def uri(data: bytes) -> bool:
    """The URI of a key on a token."""
    try:
        found = token_uri.read(data.decode("utf-8", "replace"))
    except OperatorError as error:
        require_line(error)
        return False
    assert found.token or found.serial
    assert found.label or found.key_id
    return True


def users(data: bytes) -> bool:
    """The users of a broker and the hashes of their passwords."""
    try:
        found = read_credentials(scratch.put("users", data))
    except BrokerError as error:
        require_line(error)
        return False
    assert found.hashes
    assert found.targets.keys() <= found.hashes.keys()
    return True


def bundle(data: bytes) -> bool:
    """A bundle as one tar: Python's tarfile finds the same files in what is taken, and nothing is
    written outside of the folder."""
    folder = scratch.folder("bundle")
    try:
        bundle_tar.unpack(io.BytesIO(data), folder, "FILE")
        found = _files(folder)
    except OperatorError as error:
        require_line(error)
        return False
    finally:
        for path in folder.iterdir():
            path.unlink()
    assert len(found) <= MAX_FILES
    assert len(found.get(MANIFEST_FILE, b"")) <= MAX_ENVELOPE_BYTES
    theirs = _by_tarfile(data)
    assert theirs is None or theirs == found
    return bool(found)


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _by_tarfile(data: bytes) -> dict[str, bytes] | None:
    """None if it does not read it, or if a note beside a file gives it another name or size."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            entries = tar.getmembers()
            if any(entry.pax_headers for entry in entries):
                return None
            plain = [entry for entry in entries if entry.isreg()]
            read: dict[str, Any] = {entry.name: tar.extractfile(entry) for entry in plain}
            return {name.rpartition("/")[2]: file.read() for name, file in read.items()}
    except (tarfile.TarError, OSError, ValueError):
        return None


def key_seeds() -> list[bytes]:
    private = Ed25519PrivateKey.from_private_bytes(bytes(32))
    plain = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return [plain, keys.public_pem(private.public_key().public_bytes_raw())]


def uri_seeds() -> list[bytes]:
    return [
        b"pkcs11:token=fleet;object=release",
        b"pkcs11:serial=%01%02;id=%ff;type=private?module-path=/usr/lib/x.so&pin-source=pin.txt",
    ]


def users_seeds() -> list[bytes]:
    argon = "$argon2id$v=19$m=19456,t=2,p=1$" + "YWJjZGVmZ2hpamtsbW5vcA$" + "A" * 43
    salted = "$7$1000$" + "QUJDREVGR0g=" + "$" + "QUJDREVGR0g=" * 8
    lines = [f"pi-1:{argon}", "# a comment", "", f"gw-1:{argon}:<gateway>"]
    other = [f"me:{salted}"] if is_hash(salted) else []
    return ["\n".join([*lines, *other]).encode()]


def bundle_seeds() -> list[bytes]:
    files = {MANIFEST_FILE: signed.MANIFEST, "ab" * 32: b"model", "./" + "cd" * 32: bytes(600)}
    return [_tar(files, tarfile.USTAR_FORMAT), _tar(files, tarfile.PAX_FORMAT)]


def _tar(files: dict[str, bytes], form: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(data), 0.5 if form == tarfile.PAX_FORMAT else 0
            tar.addfile(entry, io.BytesIO(data))
        end = out.tell()
    return out.getvalue()[: end + 2 * tarfile.BLOCKSIZE]
