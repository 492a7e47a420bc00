"""The scenes of the controller's files: a command writes them with the real code, the power is cut,
and the command runs again. What is read is old or new, and new once the command has said so."""

import contextlib
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple
from unittest import mock

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from modelwave_controller import disk as files
from modelwave_controller.client import contexts
from modelwave_controller.errors import OperatorError
from modelwave_controller.home import Home, make_home
from modelwave_controller.releases import bundles, wheelhouses
from modelwave_controller.releases.catalog import Releases
from modelwave_controller.trust import chain, keys, pkcs8, report_keys
from tests import signing
from tests.agent import root_chain
from tests.disk.device import Life
from tests.disk.medium import ROOT, Disk, PowerCut, State
from tests.disk.mounted import mounted
from tests.disk.sweep import Count, Sweep

HOME = Path(f"{ROOT}/srv/home")
OLD, NEW = b"old = 1\n" * 90, b"new = 22\n" * 130
RELEASE = signing.Release(2, b"new model " * 150)
ROOTS = [
    signing.root_envelope(signing.root(version=1)),
    signing.envelope("root", root_chain.document(2), *signing.ROOT_KEYS[:2]),
]


class Told(NamedTuple):
    """Whether the command has said that it is done."""

    is_done: bool = False
    phase: int = 0

    def with_(self, other: "Told") -> "Told":
        return Told(self.is_done or other.is_done)


class Writer(NamedTuple):
    """`reads()` returns "old", "new" or what is wrong; `acts()` may raise OperatorError if the new
    files are there, or, where it `may_refuse`, if some of them are."""

    name: str
    prepares: Callable[[], object]
    acts: Callable[[], object]
    reads: Callable[[], str]
    may_refuse: bool = False


def nothing() -> None:
    """The disk is empty."""


def _either(path: Path, old: bytes | None, new: bytes) -> str:
    found = path.read_bytes() if path.exists() else None
    told = f"{path} is neither the old nor the new one: {found and len(found)} bytes"
    return {old: "old", new: "new"}.get(found, told)


def _prepare_settings() -> None:
    files.private_folder(HOME)
    files.replace(HOME / "controller.toml", OLD, 0o600)


def _read_home() -> str:
    if not (HOME / "root.json").exists():
        return "old"
    home = Home(HOME)
    names = [key.keyid for key in (_key(one) for one in ("root-1", "root-2", "root-3"))]
    if not {*names} <= {*home.root_document["keys"]} or home.config.fleet != "demo":
        return "root.json names other keys than offline/ holds"
    keys.load_key(HOME / "order.key", lambda: None)
    return "new" if report_keys.load(HOME) else "it has no report.key"


def _key(name: str) -> keys.SigningKey:
    return keys.load_key(HOME / "offline" / f"{name}.key", lambda: b"pass")


def _prepare_home() -> None:
    """A home whose root the fixed keys of the tests have signed."""
    files.private_folder(HOME)
    text = '[files]\nlisten = "127.0.0.1:0"\n'
    files.create_file(HOME / "controller.toml", f'fleet = "demo"\n{text}'.encode())
    files.create_file(HOME / "root.json", ROOTS[0])
    bundle = Path(f"{ROOT}/srv/bundle")
    files.private_folder(bundle)
    for sha256, data in RELEASE.files.items():
        files.create_file(bundle / sha256, data)
    files.create_file(bundle / "manifest.json", RELEASE.envelope)


def _read_release() -> str:
    found = Releases(Home(HOME)).all()
    if not found:
        return "old"
    for sha256, data in RELEASE.files.items():
        if (HOME / "files" / sha256).read_bytes() != data:
            return f"a manifest names {sha256[:8]}, which is not whole"
    return "new" if [one.digest for one in found] == [RELEASE.digest] else "another release"


def _prepare_chain() -> None:
    files.private_folder(HOME)
    files.create_file(HOME / "root.json", ROOTS[0])


def _write_chain() -> None:
    there = chain.read(HOME)
    if there.version == 1:
        there = there.followed_by(ROOTS[1], "the next one")
    chain.write(HOME, there)


def _read_chain() -> str:
    found = chain.read(HOME)
    return found.trouble or {1: "old", 2: "new"}[found.version]


BUNDLE = Path(f"{ROOT}/srv/out/bundle")


def _prepare_source() -> None:
    files.private_folder(HOME)
    files.create_file(HOME / "model", NEW)


def _write_bundle() -> None:
    with bundles.staged(BUNDLE) as folder:
        files.copy_hashed(HOME / "model", folder, "--file", 10**6)
        wheelhouses.keep_golden(OLD, folder)
        wheelhouses.pack(SimpleNamespace(wheels=[]), folder)
        files.create_file(folder / "manifest.json", RELEASE.envelope)


def _read_bundle() -> str:
    if not BUNDLE.exists():
        return "old"
    tar = bytes(10240)  # of no wheels
    wanted = {signing.sha(data): data for data in (NEW, OLD, tar)}
    wanted["manifest.json"] = RELEASE.envelope
    held = {path.name: path.read_bytes() for path in BUNDLE.iterdir()}
    return "new" if held == wanted else f"the bundle has {sorted(held)}"


CONTEXTS = contexts.Contexts.model_validate(
    {"current": "a", "contexts": {"a": {"url": "https://a.test", "ca": "", "token": "x" * 40}}}
)


def _read_contexts() -> str:
    return {0: "old", 1: "new"}[len(contexts.read().contexts)]


WRITERS = {
    one.name: one
    for one in (
        Writer("new home", nothing, lambda: make_home(HOME, "demo", b"pass"), _read_home, True),
        Writer(
            "settings",
            _prepare_settings,
            lambda: files.replace(HOME / "controller.toml", NEW, 0o600),
            lambda: _either(HOME / "controller.toml", OLD, NEW),
        ),
        Writer(
            "new file",
            lambda: files.private_folder(HOME),
            lambda: files.create_file(HOME / "a.key", NEW, 0o600),
            lambda: _either(HOME / "a.key", None, NEW),
        ),
        Writer("root chain", _prepare_chain, _write_chain, _read_chain),
        Writer(
            "release",
            _prepare_home,
            lambda: Releases(Home(HOME)).add(Path(f"{ROOT}/srv/bundle")),
            _read_release,
        ),
        Writer("bundle", _prepare_source, _write_bundle, _read_bundle),
        Writer("contexts", nothing, lambda: contexts.write(CONTEXTS), _read_contexts),
    )
}


def start(writer: Writer) -> State:
    disk = Disk()
    with _around(disk):
        writer.prepares()
    return disk.seen()


def lived(writer: Writer, disk: Disk, told: Told) -> Life:
    """The command runs (again) on the disk."""
    faults: list[str] = []
    is_refused = False
    with _around(disk):
        try:
            writer.acts()
        except OperatorError as error:
            is_refused = True
            if not writer.may_refuse and _found(writer) != "new":
                faults.append(f"it can never be done: {error}")
        except PowerCut:
            raise
        except Exception as error:
            faults.append(f"it ends with {error!r}")
        else:
            disk.tell(Told(True))
        if not faults and not is_refused and (found := _found(writer)) != "new":
            faults.append(f"after it is done: {found}")
    return Life(disk.moments, faults, True)


def problems(writer: Writer, state: State, told: Told) -> list[str]:
    with _around(Disk(state)):
        found = _found(writer)
    allowed = ("new",) if told.is_done else ("old", "new")
    return [] if found in allowed else [f"done was told, and it is {found}" * told.is_done or found]


def _found(writer: Writer) -> str:
    try:
        return writer.reads()
    except Exception as error:
        return f"cannot be read: {error!r}"


@contextlib.contextmanager
def _around(disk: Disk) -> Iterator[None]:
    """Mounts the disk, for a command whose keys and temporary names are the same each time, and
    that encrypts nothing, as that takes long."""
    used = [int(found[0]) for path, _ in disk.seen() if (found := re.search("[0-9]{8}$", path))]
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
        mock.patch("tempfile._get_candidate_names", return_value=(f"{n:08}" for n in seeds)),
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
