"""`modelwave release add`: adds signed releases to a home."""

from pathlib import Path
from typing import Annotated

import typer

from modelwave_controller.cli.noting import note_added
from modelwave_controller.cli.options import JsonOption, home_of, path
from modelwave_controller.cli.release_view import forced, json_entry
from modelwave_controller.releases.catalog import Releases, StoredRelease
from modelwave_controller.terminal import print_json, safe, say


def add(
    ctx: typer.Context,
    bundle: Annotated[
        list[Path],
        typer.Argument(
            metavar="BUNDLE", show_default=False, help="Bundle folders, or manifests.", parser=path
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Verify the signatures and hashes of bundles, and add their releases to the home."""
    releases = Releases(home_of(ctx))
    added = []
    for folder in bundle:
        release, is_new = releases.add(folder)
        added.append((release, is_new))
        note_added(releases.home, [release] if is_new else [])
    made = _deltas(releases, [release for release, _ in added])
    if as_json:
        print_json(
            [
                {**json_entry(release.document, release.digest), "new": is_new}
                for release, is_new in added
            ]
        )
        return
    for release, is_new in added:
        manifest = release.manifest
        say(
            f"{'added' if is_new else 'already in this home, unchanged:'} release "
            f"{manifest.release} ({safe(manifest.version)}) of {manifest.model} "
            f"for {manifest.target}"
        )
        if manifest.forced:
            say(forced(manifest.forced))
    for line in made:
        say(safe(line))


def _deltas(releases: Releases, added: list[StoredRelease]) -> list[str]:
    # Its import brings SQLAlchemy's, which takes half of a command's start time.
    from modelwave_controller.operations import deltas

    by_model: dict[str, dict[str, StoredRelease]] = {}
    for release in added:
        by_model.setdefault(release.manifest.model, {})[release.manifest.target] = release
    return [
        line
        for model, found in by_model.items()
        for line in deltas.of_added(releases, model, found)
    ]
