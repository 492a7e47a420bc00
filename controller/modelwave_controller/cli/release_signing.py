"""`modelwave release sign`: signs the manifests of existing releases anew."""

from pathlib import Path
from typing import Annotated

import typer

from modelwave_controller import disk
from modelwave_controller.cli import signing_keys
from modelwave_controller.cli.noting import note
from modelwave_controller.cli.options import (
    JsonOption,
    ModelArgument,
    PassphraseFileOption,
    YesOption,
    home_of,
)
from modelwave_controller.cli.signing_keys import KeysOption
from modelwave_controller.errors import OperatorError
from modelwave_controller.phrases import plural
from modelwave_controller.releases import resigning
from modelwave_controller.releases.catalog import Releases, StoredRelease
from modelwave_controller.rollout.events import ReleasesSigned
from modelwave_controller.terminal import print_json, safe, say


def sign(
    ctx: typer.Context,
    model: ModelArgument,
    release: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RELEASE]…", show_default=False, help="Numbers or versions; else all."
        ),
    ] = None,
    key: KeysOption = None,
    passphrase_file: PassphraseFileOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Sign the manifests of existing releases with the release keys of the newest root.

    After a release key was replaced, devices refuse what only the old one has signed. The contents
    stay the same, and so does their sha256; signatures that do not count any more are dropped.
    """
    if not key:
        raise OperatorError("--key: give a release key to sign with")
    releases = Releases(home_of(ctx))
    places = releases.places(model, release or ())
    for _, one in places:
        say(f"  • {safe(_told(one))}", stderr=as_json)
    signing_keys.confirm(f"Sign {plural(len(places), 'manifest')}?", yes)
    signers = signing_keys.opened(key, passphrase_file)
    made = [(path, resigning.signed(one, signers, releases.root)) for path, one in places]
    for path, (envelope, _) in made:
        disk.replace(path, envelope)
    numbers = sorted({one.manifest.release for _, one in places})
    note(releases.home, ReleasesSigned(model=model, releases=numbers))
    _print(model, places, [lacking for _, (_, lacking) in made], as_json)


def _told(release: StoredRelease) -> str:
    manifest = release.manifest
    why = f"; now: {release.trouble}" if release.trouble else ""
    return (
        f"release {manifest.release} ({manifest.version}) of {manifest.model} for "
        f"{manifest.target}, sha256 {release.digest}{why}"
    )


def _print(
    model: str, places: list[tuple[Path, StoredRelease]], lacking: list[int], as_json: bool
) -> None:
    if as_json:
        print_json(
            [
                {
                    "file": str(path),
                    "model": model,
                    "release": one.manifest.release,
                    "target": one.manifest.target,
                    "sha256": one.digest,
                    "lacking": missing,
                }
                for (path, one), missing in zip(places, lacking, strict=True)
            ]
        )
        return
    say(f"Signed {plural(len(places), 'manifest')} of {safe(model)}.")
    if most := max(lacking):
        say(f"{plural(most, 'more release key')} must sign: run this again with --key FILE.")
