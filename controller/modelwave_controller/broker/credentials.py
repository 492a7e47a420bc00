"""Reads users and their passwords from a text file of `name:hash` or `name:hash:target` lines.

`#` starts a comment line. A hash is argon2id, which `hash_password` makes, or PBKDF2 as Mosquitto
writes it (pbkdf2.py). `target` is that of the device, `<gateway>` for a gateway; without it
the user may read the orders of all targets.
"""

from pathlib import Path
from typing import NamedTuple

import argon2

from modelwave_controller.broker import pbkdf2
from modelwave_controller.broker.errors import BrokerError

# argon2id with 19 MiB, two passes, one lane: the minimum of OWASP's Password Storage Cheat
# Sheet. It takes about 0.02 s on a slow machine, so a whole fleet can reconnect at once;
# argon2-cffi's default takes ten times as long.
HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def hash_password(password: str) -> str:
    """Returns a hash for the credentials file; it is different every time because of its salt."""
    return HASHER.hash(password)


class Credentials(NamedTuple):
    """The users of a file: their hashes, and the targets of those that have one."""

    hashes: dict[str, str]
    targets: dict[str, str]


def read_credentials(path: Path) -> Credentials:
    """Reads the users of a file. Raises BrokerError, which names the line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BrokerError(f"cannot read the credentials file {path}: {error}") from error
    users = Credentials({}, {})
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, rest = line.strip().partition(":")
        digest, _, target = rest.partition(":")
        where = f"{path}, line {number}"
        if not colon or not name or ":" in target:
            raise BrokerError(f"{where}: not of the form name:hash or name:hash:target")
        if name in users.hashes:
            raise BrokerError(f"{where}: a second line for {name!r}; keep one")
        if not _is_hash(digest):
            raise BrokerError(
                f"{where}: no argon2 or PBKDF2 hash for {name!r}; make the file with `modelwave "
                "device enrol`, or the line with hash_password"
            )
        users.hashes[name] = digest
        if target:
            users.targets[name] = target
    if not users.hashes:
        raise BrokerError(f"{path} names no user, so nobody could connect; add name:hash lines")
    return users


def _is_hash(digest: str) -> bool:
    if pbkdf2.is_hash(digest):
        return True
    try:
        argon2.extract_parameters(digest)
    except argon2.exceptions.InvalidHashError:
        return False
    return True
