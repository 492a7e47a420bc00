"""`modelwave target`: shows and adds hardware classes and their limits."""

from typing import Annotated, Any

import typer

from modelwave_controller.api import targets as calls
from modelwave_controller.cli import later
from modelwave_controller.cli.doors import ask, files_door
from modelwave_controller.cli.later import Place
from modelwave_controller.cli.options import JsonOption
from modelwave_controller.fit import PROFILES
from modelwave_controller.models.targets import Target
from modelwave_controller.terminal import facts, print_json, show, table

app = typer.Typer(no_args_is_help=True)
# It brings keys and events, which the others do not need.
LATER = {
    "add": Place(
        "target_adding", "add", "Add a target of your own, or replace one that you added before."
    )
}
later.add(app, LATER)


@app.command("list")
def list_targets(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """List all targets: those that come with modelwave, and your own."""
    with files_door(ctx) as there:
        known = ask(there, calls.LIST)
    if as_json:
        print_json([_json(target) for target in known])
        return
    rows = [
        (t.name, t.kind, _size(t.flash_bytes), _size(t.ram_bytes), t.profile or "", t.description)
        for t in known
    ]
    columns = ("target", "class", "flash bytes", "ram bytes", "profile", "description")
    show(table(columns, rows))


@app.command("show")
def show_target(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Show a target's limits, its firmware, and the sources of the figures."""
    with files_door(ctx) as there:
        target = ask(there, calls.SHOW, target=name)
    if as_json:
        print_json(_json(target))
        return
    rows = [
        ("target", target.name),
        ("description", target.description),
        ("class", target.kind),
        ("flash bytes", _size(target.flash_bytes)),
        ("ram bytes", _size(target.ram_bytes)),
        ("source", target.source),
        ("firmware", target.firmware),
        ("firmware flash", _taken(target, target.firmware_flash_bytes)),
        ("firmware ram", _taken(target, target.firmware_ram_bytes)),
        ("source", target.firmware_source),
        ("slot bytes", target.slot_bytes and f"{target.slot_bytes:,}"),
        ("abi", target.abi),
        ("kernels", target.kernels),
        ("profile", _profile(target)),
        ("runtime", target.runtime),
        ("accelerator", f"{target.accelerator} {target.chip}".strip()),
        ("note", target.note),
    ]
    show(facts((name, value) for name, value in rows if value))


def _json(target: Target) -> dict[str, Any]:
    return target.model_dump(by_alias=True)


def _size(size: int | None) -> str:
    return "as reported" if size is None else f"{size:,}"


def _taken(target: Target, size: int | None) -> str:
    """Returns what a firmware takes of a board; "" for a host, which has none."""
    if size is None:
        return "" if target.kind == "host" else "unknown"
    return f"{size:,}"


def _profile(target: Target) -> str:
    """Returns the profile, and whether it was measured; or why there is none."""
    if target.profile:
        source = PROFILES[target.profile].derived
        return (
            f"{target.profile}, derived from the source of {source}" if source else target.profile
        )
    if target.kind == "host":
        return "none: a host has no arena; its RAM is an estimate (docs/fit.md)"
    return "none: the memory of its kernels is unknown"
