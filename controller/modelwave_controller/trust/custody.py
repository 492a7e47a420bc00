"""Says where the keys and secrets of a home are not as they should be: what a thief of the
service's machine, or another user of it, would find.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from modelwave_controller.errors import OperatorError
from modelwave_controller.trust import keys, signers
from modelwave_shared import roles

MAX_FILES = 1000  # of a folder that are looked at
# Only such files are opened. The service must not open its database's files here: closing them
# would drop the locks that SQLite holds on them in this process (fcntl(2)).
KEY_SUFFIXES = (".key", ".pem")


def offline_keys(home: Path, order_key: Path | None, root: dict[str, Any]) -> list[Path]:
    """Returns the offline keys that this process can read: private keys in offline/, and beside it
    those under a passphrase, or of the root or release role of `root`. The service needs none."""
    named = [
        roles.public_key(root, keyid)
        for role in ("root", "release")
        for keyid in root["roles"][role]["keyids"]
    ]
    beside = [
        path
        for path in _files(home)
        if (order_key is None or not _same(path, order_key)) and _is_offline(path, named)
    ]
    return [*beside, *(path for path in _files(home / "offline") if _private_key(path))]


def warnings(
    home: Path, order_key: Path | None, root: dict[str, Any], settings_have_secret: bool
) -> list[str]:
    """Returns a sentence for each thing to put right. `order_key` is None if it is in no file."""
    found = []
    offline = offline_keys(home, order_key, root)
    if offline:
        names = ", ".join(sorted({str(path.relative_to(home)) for path in offline}))
        found.append(
            f"offline keys can be read here ({names}), so whoever takes this machine can try their "
            f"passphrases: move them to another one, and delete them in {home}"
        )
    if order_key is not None and (exposed := signers.exposed(order_key)):
        found.append(exposed)
    if settings_have_secret and _mode(home / "controller.toml") & (stat.S_IROTH | stat.S_IRGRP):
        found.append(
            f"{home / 'controller.toml'}: others may read it, and it has the database's password: "
            "chmod 600, or put the password into a file and name that with password_file"
        )
    if _mode(home) & stat.S_IWOTH:
        found.append(f"{home}: others may replace what is in it: chmod 755 {home}")
    return found


def _files(folder: Path) -> Iterator[Path]:
    """Yields the files of the folder that may hold a key."""
    try:
        with os.scandir(folder) as entries:
            for _, entry in zip(range(MAX_FILES), entries, strict=False):
                if entry.name.endswith(KEY_SUFFIXES) and entry.is_file():
                    yield Path(entry.path)
    except OSError:
        return


def _private_key(path: Path) -> bytes:
    """Returns the contents of a file with a private key, b"" of another one."""
    try:
        with path.open("rb") as file:
            data = file.read(keys.MAX_KEY_FILE_BYTES)
    except OSError:
        return b""
    return data if keys.is_private(data) else b""


def _is_offline(path: Path, named: Sequence[bytes]) -> bool:
    data = _private_key(path)
    if not data or keys.is_encrypted(data):
        return bool(data)
    try:
        return keys.load_key(path, bytes).public in named
    except OperatorError:  # such as the key of a TLS certificate
        return False


def _same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0
