"""The last steps of the commands that make a release: show the manifest, sign it, store it, and say
where."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from modelwave_controller import disk
from modelwave_controller.cli.key_options import opened_key
from modelwave_controller.cli.noting import note_added
from modelwave_controller.cli.release_view import forced
from modelwave_controller.errors import OperatorError
from modelwave_controller.home import Home
from modelwave_controller.releases import bundles
from modelwave_controller.releases.bundle_tar import MANIFEST_FILE
from modelwave_controller.releases.catalog import Releases, StoredRelease
from modelwave_controller.releases.golden_sets import Proof
from modelwave_controller.terminal import print_json, safe, say
from modelwave_controller.trust import keys, roots
from modelwave_controller.trust.keys import Signer
from modelwave_shared import digests
from modelwave_shared.words import MANIFEST


def require_answer(yes: bool) -> None:
    """Raises OperatorError if nobody could be asked whether to sign."""
    if not yes and not sys.stdin.isatty():
        raise OperatorError("--yes: there is no terminal to ask on; give --yes to sign anyway")


@contextmanager
def place(home: Home, out: Path | None) -> Iterator[Path]:
    """Yields the folder in which a release is made: the bundle `out`, or a temporary one, whose
    release is added to the home at once."""
    if out:
        with bundles.staged(out) as folder:
            yield folder
    else:
        with disk.work_folder(home.path, "sign") as folder:
            yield folder


@dataclass(frozen=True)
class ToSign:
    """A manifest that is ready to be signed, with the key that signs it."""

    manifest: dict[str, Any]
    payload: bytes
    signer: Signer

    @classmethod
    def of(
        cls, home: Home, manifest: dict[str, Any], key: str | None, passphrase_file: Path | None
    ) -> "ToSign":
        """Opens the key. Raises TrustError if the home's root does not name it."""
        signer = opened_key(key or str(home.offline / "release.key"), passphrase_file)
        roots.require_signer(home.root_document, MANIFEST, signer)
        return cls(manifest, keys.canonical(manifest), signer)

    @property
    def digest(self) -> str:
        return digests.hexdigest(self.payload)

    def show(self, proof: Proof, stderr: bool) -> None:
        say(f"Key {self.signer.keyid} signs this document, sha256 {self.digest}:", stderr)
        print_json(self.manifest, stderr)
        if self.manifest["forced"]:
            say(forced(self.manifest["forced"]), stderr)
        if proof.healthy and proof.runtime:
            say(f"[green]golden set passed[/] on {safe(proof.runtime)}", stderr)
        for problem in filter(None, (proof.reason, proof.weak)):
            say(safe(problem), stderr)

    def sign(
        self, folder: Path, releases: Releases, yes: bool, leaves: bool
    ) -> StoredRelease | None:
        """Asks unless `yes`, then signs the release in `folder`, adds it to the home, and returns
        it. If it `leaves` in a bundle, the home only notes its number: None."""
        if not yes:
            typer.confirm("Sign it?", abort=True, err=True)
        signed = keys.sign(MANIFEST, self.payload, [self.signer])
        disk.create_file(folder / MANIFEST_FILE, signed)
        if leaves:
            releases.note(folder)
            return None
        added, is_new = releases.add(folder)
        if is_new:
            note_added(releases.home, added)
        return added

    def tell(self, home: Home, out: Path | None) -> None:
        where = (
            f"in bundle {out}; add it to the service's home: modelwave release add"
            if out
            else f"in {home.path}"
        )
        manifest = self.manifest
        say(
            f"[green]signed[/]: release {manifest['release']} of {safe(manifest['model'])}, "
            f"{safe(where)}"
        )


def deltas_of(releases: Releases, added: StoredRelease) -> list[str]:
    """Makes the deltas for a release that was added, and says which, for people."""
    # Its import brings SQLAlchemy's, which takes half of a command's start time.
    from modelwave_controller.operations import deltas

    manifest = added.manifest
    return deltas.of_added(releases, manifest.model, {manifest.target: added})
