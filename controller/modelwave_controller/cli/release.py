"""`modelwave release`: signs releases, adds them to a home, and shows them."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from modelwave_controller import disk
from modelwave_controller.api import releases as calls
from modelwave_controller.cli import later
from modelwave_controller.cli.doors import Door, ask, files_door
from modelwave_controller.cli.later import Place
from modelwave_controller.cli.options import JsonOption, ModelArgument, path
from modelwave_controller.cli.release_view import forced, release_facts
from modelwave_controller.releases import heldout
from modelwave_controller.results.releases import Release
from modelwave_controller.terminal import facts, print_json, safe, say, show, table
from modelwave_controller.trust.documents import Manifest, view

ReleaseArgument = Annotated[
    str, typer.Argument(metavar="RELEASE", show_default=False, help="Number or version.")
]

app = typer.Typer(no_args_is_help=True)
# They bring keys, and what examines models, which no other command here does.
LATER = {
    "create": Place(
        "create",
        "create",
        "Run a model's golden set on this host, show the manifest to be signed, and sign it.",
    ),
    "create-agent": Place(
        "create_agent",
        "create_agent",
        "Make a release of the agent itself, of wheels for hosts or of a package for boards: pack "
        "it, show the manifest to be signed, and sign it. Wheels are installed here first, if this "
        "host is of their platform.",
    ),
    "add": Place(
        "release_adding",
        "add",
        "Verify the signatures and hashes of bundles, and add their releases to the home.",
    ),
    "sign": Place(
        "release_signing",
        "sign",
        "Sign the manifests of existing releases with the release keys of the newest root.",
    ),
}
later.add(app, LATER)


@app.command("list")
def list_releases(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """List all releases."""
    with files_door(ctx) as there:
        known = _all(there)
    if as_json:
        print_json([asdict(one) for one in known])
        return
    if not known:
        say("no releases yet; make one with `modelwave release create`")
        return
    columns = ("model", "release", "version", "target", "bytes", "sha256", "held-out", "forced")
    show(table(columns, [_row(one) for one in known]))
    for model, numbers in _refused(known).items():
        shown = ", ".join(map(str, numbers))
        say(
            f"[yellow]but[/] devices refuse {safe(model)} {shown}: too few keys of the newest root "
            f"have signed: `modelwave release sign {safe(model)} --key FILE`"
        )


def _all(there: Door) -> list[Release]:
    page = ask(there, calls.LIST)
    found = page.releases
    while page.next:
        page = ask(there, calls.LIST, cursor=page.next)
        found += page.releases
    return found


def _refused(known: list[Release]) -> dict[str, list[int]]:
    """Returns the numbers of the releases that devices refuse, by model."""
    found: dict[str, set[int]] = {}
    for one in known:
        if one.trouble:
            found.setdefault(one.manifest["model"], set()).add(one.manifest["release"])
    return {model: sorted(numbers) for model, numbers in found.items()}


def _row(release: Release) -> tuple[object, ...]:
    manifest = view(Manifest, release.manifest)
    return (
        manifest.model,
        manifest.release,
        manifest.version,
        manifest.target,
        manifest.needs.flash,
        release.sha256[:12],
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
    with files_door(ctx) as there:
        found = ask(there, calls.SHOW, model=model, release=release, target=target)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    for one in found:
        if one.manifest["forced"]:
            say(forced(one.manifest["forced"]))
        show(facts(release_facts(one)))


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
    with files_door(ctx) as there:
        made = ask(there, calls.SBOM, model=model, release=release, target=target)
    if out is None:
        print_json(made)
    else:
        disk.replace(out, (json.dumps(made, indent=2) + "\n").encode())
        say(f"written: {safe(out)}")
