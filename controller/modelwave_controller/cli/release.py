"""`modelwave release`: signs releases, adds them to a home, and shows them."""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from modelwave_controller import disk
from modelwave_controller.cli.create import ModelArgument, create
from modelwave_controller.cli.create_agent import create_agent
from modelwave_controller.cli.noting import note_added
from modelwave_controller.cli.options import JsonOption, home_of, path
from modelwave_controller.cli.release_signing import sign
from modelwave_controller.cli.release_view import forced, json_entry, release_facts
from modelwave_controller.errors import OperatorError
from modelwave_controller.releases import heldout, ml_bom
from modelwave_controller.releases.catalog import Releases, StoredRelease
from modelwave_controller.terminal import facts, print_json, safe, say, show, table
from modelwave_shared import checkout

ReleaseArgument = Annotated[
    str, typer.Argument(metavar="RELEASE", show_default=False, help="Number or version.")
]

app = typer.Typer(no_args_is_help=True)
app.command()(create)
app.command("create-agent")(create_agent)
app.command()(sign)


@app.command()
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


@app.command("list")
def list_releases(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """List all releases of this home."""
    releases = Releases(home_of(ctx))
    known = releases.all()
    if as_json:
        print_json([_json(release) for release in known])
        return
    if not known:
        say("no releases yet; make one with `modelwave release create`")
        return
    columns = ("model", "release", "version", "target", "bytes", "sha256", "held-out", "forced")
    show(table(columns, [_row(release) for release in known]))
    for name, numbers in releases.unsound().items():
        shown = ", ".join(map(str, numbers))
        say(
            f"[yellow]but[/] devices refuse {safe(name)} {shown}: too few keys of the newest root "
            f"have signed: `modelwave release sign {safe(name)} --key FILE`"
        )


def _json(release: StoredRelease) -> dict[str, Any]:
    trouble = {"trouble": release.trouble} if release.trouble else {}
    return json_entry(release.document, release.digest) | trouble


def _row(release: StoredRelease) -> tuple[object, ...]:
    manifest = release.manifest
    return (
        manifest.model,
        manifest.release,
        manifest.version,
        manifest.target,
        manifest.needs.flash,
        release.digest[:12],
        heldout.listed(manifest.lineage.metrics),
        manifest.forced and f"FORCED: {manifest.forced}",
    )


@app.command("show")
def show_release(
    ctx: typer.Context,
    model: ModelArgument,
    release: ReleaseArgument,
    target: Annotated[str | None, typer.Option(help="Only that for this target.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a release is, what it needs, and whether it was forced."""
    found = _of_target(Releases(home_of(ctx)).find(model, release), f"{model} {release}", target)
    if as_json:
        print_json([json_entry(stored.document, stored.digest) for stored in found.values()])
        return
    for stored in found.values():
        if stored.manifest.forced:
            say(forced(stored.manifest.forced))
        show(facts(release_facts(stored)))


def _of_target(
    found: dict[str, StoredRelease], name: str, target: str | None
) -> dict[str, StoredRelease]:
    if target is None:
        return found
    if target not in found:
        raise OperatorError(f"--target: {name} is for {', '.join(found)}")
    return {target: found[target]}


@app.command("sbom")
def sbom(
    ctx: typer.Context,
    model: ModelArgument,
    release: ReleaseArgument,
    target: Annotated[
        str | None, typer.Option(help="That for this target; needed if there are several.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", show_default="stdout", help="Write it to a new file.", parser=path
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE.")] = False,
) -> None:
    """Print a release's machine-learning bill of materials: CycloneDX 1.6, as JSON.

    It has what the signed manifest says: the model card (data set, held-out metrics), the files by
    sha256, what the model needs, and the ids of the keys that signed it.
    """
    if out is not None:
        disk.require_place(out, "--out", force)
    releases = Releases(home_of(ctx))
    found = _of_target(releases.find(model, release), f"{model} {release}", target)
    if len(found) > 1:
        raise OperatorError(f"--target: {model} {release} is for {', '.join(found)}; give one")
    (stored,) = found.values()
    made = ml_bom.bill(stored, releases.root, checkout.described(), time.time())
    if out is None:
        print_json(made)
    else:
        disk.replace(out, (json.dumps(made, indent=2) + "\n").encode())
        say(f"written: {safe(out)}")
