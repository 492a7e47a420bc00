"""The scenes of a home's files."""

from pathlib import Path
from types import SimpleNamespace

from modelwave_controller import disk as files
from modelwave_controller.client import contexts
from modelwave_controller.home import Home, make_home
from modelwave_controller.releases import bundles, wheelhouses
from modelwave_controller.releases.catalog import Releases
from modelwave_controller.trust import chain, keys, report_keys
from tests import signing
from tests.agent import root_chain
from tests.disk.medium import ROOT
from tests.disk.writers import HOME, Writer, either, nothing

OLD, NEW = b"old = 1\n" * 90, b"new = 22\n" * 130
RELEASE = signing.Release(2, b"new model " * 150)
ROOTS = [
    signing.root_envelope(signing.root(version=1)),
    signing.envelope("root", root_chain.document(2), *signing.ROOT_KEYS[:2]),
]


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


def prepare_home() -> None:
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


HOME_FILES = (
    Writer("new home", nothing, lambda: make_home(HOME, "demo", b"pass"), _read_home, True),
    Writer(
        "settings",
        _prepare_settings,
        lambda: files.replace(HOME / "controller.toml", NEW, 0o600),
        lambda: either(HOME / "controller.toml", OLD, NEW),
    ),
    Writer(
        "new file",
        lambda: files.private_folder(HOME),
        lambda: files.create_file(HOME / "a.key", NEW, 0o600),
        lambda: either(HOME / "a.key", None, NEW),
    ),
    Writer("root chain", _prepare_chain, _write_chain, _read_chain),
    Writer(
        "release",
        prepare_home,
        lambda: Releases(Home(HOME)).add(Path(f"{ROOT}/srv/bundle")),
        _read_release,
    ),
    Writer("bundle", _prepare_source, _write_bundle, _read_bundle),
    Writer("contexts", nothing, lambda: contexts.write(CONTEXTS), _read_contexts),
)
