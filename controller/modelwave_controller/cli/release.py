"""`modelwave release`: signs releases, adds them to a home, and shows them."""

from pathlib import Path
from typing import Annotated

import typer

from modelwave_controller.cli.create import ModelArgument, create
from modelwave_controller.cli.options import JsonOption, home_of, path
from modelwave_controller.cli.release_signing import sign
from modelwave_controller.cli.release_view import forced, json_entry, release_facts
from modelwave_controller.errors import OperatorError
from modelwave_controller.releases import heldout
from modelwave_controller.releases.catalog import Releases, StoredRelease
from modelwave_controller.terminal import facts, print_json, safe, say, show, table

app = typer.Typer(no_args_is_help=True, help="Sign releases, add them to a home, show them.")
app.command()(create)
app.command()(sign)


@app.command()
def add(
    ctx: typer.Context,
    bundle: Annotated[
        list[Path],
        typer.Argument(metavar="BUNDLE", show_default=False, help="Bundle folders.", parser=path),
    ],
    as_json: JsonOption = False,
) -> None:
    """Verify the signatures and hashes of bundles, and add their releases to the home."""
    releases = Releases(home_of(ctx))
    added = [releases.add(folder) for folder in bundle]
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


@app.command("list")
def list_releases(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """List all releases of this home."""
    releases = Releases(home_of(ctx))
    known = releases.all()
    if as_json:
        print_json([json_entry(release.document, release.digest) for release in known])
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
    release: Annotated[
        str, typer.Argument(metavar="RELEASE", show_default=False, help="Number or version.")
    ],
    target: Annotated[str | None, typer.Option(help="Only that for this target.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a release is, what it needs, and whether it was forced."""
    found = Releases(home_of(ctx)).find(model, release)
    if target is not None:
        if target not in found:
            raise OperatorError(f"--target: {model} {release} is for {', '.join(found)}")
        found = {target: found[target]}
    if as_json:
        print_json([json_entry(stored.document, stored.digest) for stored in found.values()])
        return
    for stored in found.values():
        if stored.manifest.forced:
            say(forced(stored.manifest.forced))
        show(facts(release_facts(stored)))
