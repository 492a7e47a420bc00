"""`modelwave recover`: brings the controller past the order numbers of its devices."""

import sys
import time
from dataclasses import asdict
from typing import Annotated

import typer

from modelwave_controller.api import upkeep as calls
from modelwave_controller.cli.doors import ask, door
from modelwave_controller.cli.options import JsonOption, actor, home_of
from modelwave_controller.cli.stores import opened_store
from modelwave_controller.phrases import plural
from modelwave_controller.results.upkeep import Numbers
from modelwave_controller.terminal import print_json, safe, say, show, table


def recover(
    ctx: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", show_default="shows all", help="Name of the model."),
    ] = None,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            help="Go on above the devices' numbers; without it, show them. With --restored: do not "
            "ask.",
        ),
    ] = False,
    to: Annotated[
        int | None,
        typer.Option(metavar="N", help="The number to go on above; else what devices report."),
    ] = None,
    restored: Annotated[
        bool,
        typer.Option(
            "--restored",
            help="Say that the database was restored by other means, as pg_restore: no order is "
            "signed before its model is recovered, and all access tokens end.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Go on above the devices' order numbers: after the database was restored or lost.

    Devices refuse orders that are not above their last one. Start the service first and let the
    devices report; then compare the numbers, and confirm each model with --yes.
    """
    if model is None and ((yes and not restored) or to is not None):
        raise typer.BadParameter("name the MODEL to recover; without it, numbers are only shown")
    if model is not None and restored:
        raise typer.BadParameter("--restored is for all models: give it without MODEL")
    if restored:
        _note_restored(ctx, yes, as_json)
    done = None
    with door(ctx) as there:
        if model is None:
            found = ask(there, calls.NUMBERS)
        elif yes:
            done = ask(there, calls.RECOVER, model=model, to=to)
            found = [done.numbers]
        else:
            found = [ask(there, calls.NUMBERS_OF, model=model, to=to)]
    if as_json:
        print_json([asdict(numbers) for numbers in found])
        return
    if done is not None:
        say(f"the next order of [bold]{safe(done.numbers.model)}[/] is {done.next}")
    _show(found, to)


def _note_restored(ctx: typer.Context, yes: bool, as_json: bool) -> None:
    home_of(ctx, "--restored")
    from modelwave_controller.operations.recover import note_restored  # slow to import

    if not yes and sys.stdin.isatty():
        question = "All access tokens end, and no order is signed before its model is recovered."
        typer.confirm(f"{question} Was the database restored?", abort=True, err=True)
    with opened_store(ctx) as store:
        ended = note_restored(store, time.time(), actor())
    if not as_json:
        say(
            f"noted that the database was restored; {plural(ended, 'access token')} ended: make "
            "new ones with `modelwave token create`. The service makes the home's own anew."
        )


def _show(found: list[Numbers], to: int | None) -> None:
    columns = (
        "model",
        "newest order here",
        "at the broker",
        "devices",
        "ahead",
        "highest",
        "reported by",
    )
    rows = [
        (
            n.model,
            n.given,
            n.at_broker or "–",
            n.devices,
            n.ahead,
            n.highest or "–",
            n.device or "–",
        )
        for n in found
    ]
    show(table(columns, rows))
    for numbers in found:
        for line in _next_steps(numbers, to):
            say(f"\n{line}")


def _next_steps(numbers: Numbers, to: int | None) -> list[str]:
    """Returns what there is to know about a model, and to do, as markup."""
    name, lines = safe(numbers.model), []
    if numbers.restored_at is not None:
        made = time.strftime("%Y-%m-%d %H:%M", time.localtime(numbers.restored_at))
        lines.append(
            f"{name}: the database was restored from a backup of {made}. No order is signed until "
            f"its numbers are recovered. Let `modelwave serve` run until the devices have reported."
        )
    if numbers.at_broker:
        lines.append(
            f"{name}: the broker holds orders up to {numbers.at_broker} that this fleet's key has "
            "signed and this database does not know. They stay until a newer one is signed. If "
            "another database of this fleet is in use, stop its service first."
        )
    if numbers.due:
        option = "" if to is None else f" --to {to}"
        lines.append(
            f"{name}: {safe(numbers.problem)}"
            if numbers.next is None
            else f"{name}: `modelwave recover {name} --yes{option}` lets the next order be "
            f"{numbers.next}. Orders that stand are signed anew then: each device goes to the "
            "release that this database has for it."
        )
        lines += [
            f"{name}: rollout {rollout} is under way in this database, and goes on then from where "
            f"it stands there. If it should not, `modelwave rollout abort {rollout}` before that; "
            f"`modelwave rollout status {rollout}` says where it stands."
            for rollout in numbers.under_way
        ]
    first = f"first {safe(numbers.first)}, then " if numbers.first else ""
    for running in numbers.runs:
        target = safe(running.target)
        start = f"`modelwave rollout start {name} {running.release} --target {target}`"
        told = (
            f"{name}: {plural(running.devices, 'device')} of {target} run release "
            f"{running.release}, which this database did not bring there"
        )
        lines.append(
            f"{told}. Once it is recovered they go to the release that this database has for "
            f"them; {first}{start} brings them back."
            if numbers.due
            else f"{told}. To keep it, {first}{start}: those that still run it answer at once."
        )
    return lines
