"""`modelwave release add`: adds signed releases to a home."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from modelwave_controller.api import releases as calls
from modelwave_controller.cli.doors import files_door, send
from modelwave_controller.cli.options import JsonOption, path
from modelwave_controller.cli.release_view import forced
from modelwave_controller.results.releases import Added
from modelwave_controller.terminal import print_json, safe, say


def add(
    ctx: typer.Context,
    bundle: Annotated[
        list[Path],
        typer.Argument(
            metavar="BUNDLE",
            show_default=False,
            help="Bundle folders, tars of them, or manifests.",
            parser=path,
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Verify the signatures and hashes of bundles, and add their releases to the home."""
    added: list[Added] = []
    with files_door(ctx) as there:
        for folder in bundle:
            named = str(folder).encode(errors="replace").decode()
            found = send(there, calls.ADD, folder, name=named)
            if found.unlogged:
                say(f"[yellow]done, and not in the log:[/] {safe(found.unlogged)}", stderr=True)
            added.append(found)
    if as_json:
        print_json([asdict(one) for one in added])
        return
    for one in added:
        manifest = one.manifest
        say(
            f"{'added' if one.new else 'already in this home, unchanged:'} release "
            f"{manifest['release']} ({safe(manifest['version'])}) of {safe(manifest['model'])} "
            f"for {safe(manifest['target'])}"
        )
        if manifest["forced"]:
            say(forced(manifest["forced"]))
    for line in (line for one in added for line in one.deltas):
        say(safe(line))
