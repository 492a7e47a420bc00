"""Cuts the power of commands that write files: the real code writes them, the power is cut, and the
command runs again. What is read is old or new, and new once the command has said that it is done.

A command that meets an error of the disk may end with it, if what is read is old or new, and the
command can be run again.
"""

import contextlib
import filecmp
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from modelwave_controller.client import contexts
from modelwave_controller.errors import OperatorError, StorageError
from modelwave_controller.trust import keys, pkcs8
from tests.disk.device import Life
from tests.disk.medium import ROOT, Disk, PowerCut, State
from tests.disk.mounted import mounted
from tests.disk.sweep import Count, Sweep

HOME = Path(f"{ROOT}/srv/home")


class Told(NamedTuple):
    """Whether the command has said that it is done."""

    is_done: bool = False
    phase: int = 0

    def with_(self, other: "Told") -> "Told":
        return Told(self.is_done or other.is_done)


class Writer(NamedTuple):
    """`reads()` returns "old", "new" or what is wrong; `acts()` may raise OperatorError if the new
    files are there, or, where it `may_refuse`, if some of them are. `apart`: on another disk."""

    name: str
    prepares: Callable[[], object]
    acts: Callable[[], object]
    reads: Callable[[], str]
    may_refuse: bool = False
    apart: tuple[str, ...] = ()


def nothing() -> None:
    """The disk is empty."""


def either(path: Path, old: bytes | None, new: bytes) -> str:
    found = path.read_bytes() if path.exists() else None
    told = f"{path} is neither the old nor the new one: {found and len(found)} bytes"
    return {old: "old", new: "new"}.get(found, told)


def start(writer: Writer) -> State:
    disk = Disk()
    with around(disk):
        writer.prepares()
    return disk.seen()


def lived(writer: Writer, disk: Disk, told: Told) -> Life:
    """The command runs (again) on the disk."""
    faults: list[str] = []
    is_refused = False
    disk.apart = writer.apart
    with around(disk):
        try:
            writer.acts()
        except OperatorError as error:
            is_refused = True
            if not (writer.may_refuse or disk.is_in_trouble) and _found(writer) != "new":
                faults.append(f"it can never be done: {error}")
        except PowerCut:
            raise
        except Exception as error:
            is_refused = isinstance(error, OSError | StorageError) and disk.is_in_trouble
            if not is_refused:
                faults.append(f"it ends with {error!r}")
        else:
            disk.tell(Told(True))
    if not faults and not is_refused:
        faults += problems(writer, disk.seen(), Told(True))
    return Life(disk.moments, faults, True)


def problems(writer: Writer, state: State, told: Told) -> list[str]:
    with around(Disk(state)):
        found = _found(writer)
    allowed = ("new",) if told.is_done else ("old", "new")
    return [] if found in allowed else [f"done was told, and it is {found}" * told.is_done or found]


def _found(writer: Writer) -> str:
    try:
        return writer.reads()
    except Exception as error:
        return f"cannot be read: {error!r}"


@contextlib.contextmanager
def around(disk: Disk) -> Iterator[None]:
    """Mounts the disk, for a command whose keys and temporary names are the same each time, and
    that encrypts nothing, as that takes long."""
    filecmp.clear_cache()  # which goes by the times of files, and they are all the same here
    used = [int(found[0]) for path, _ in disk.seen() if (found := re.search("[0-9]{7}$", path))]
    seeds = itertools.count(1 + max(used, default=0))

    def generated() -> keys.SigningKey:
        return keys.SigningKey(
            Ed25519PrivateKey.from_private_bytes(next(seeds).to_bytes(32, "big"))
        )

    def encrypted(plain: bytes, passphrase: bytes) -> bytes:
        key = serialization.load_der_private_key(plain, None)
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    with (
        mounted(disk),
        mock.patch.object(keys, "generate", generated),
        mock.patch.object(pkcs8, "encrypted_pem", encrypted),
        mock.patch.object(contexts, "file", return_value=HOME / "a" / "contexts.toml"),
        mock.patch("tempfile._get_candidate_names", return_value=(f"a{n:07}" for n in seeds)),
        mock.patch("secrets.token_bytes", bytes),
        mock.patch("secrets.token_hex", lambda size: f"{next(seeds):0{2 * size}}"),
    ):
        yield


def sweep(writer: Writer, count: Count, is_long: bool = False) -> Sweep:
    return Sweep(
        writer.name,
        lambda disk, told: lived(writer, disk, told),
        lambda state, told: problems(writer, state, told),
        count,
        is_long,
        is_fat=False,
    )
