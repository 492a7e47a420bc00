"""`modelwave clock`: shows whether the controller's clock is in doubt, and accepts it."""

import time
from dataclasses import asdict
from typing import Annotated

import typer

from modelwave_controller.api import upkeep as calls
from modelwave_controller.cli.doors import ask, door
from modelwave_controller.cli.options import JsonOption, reason_of
from modelwave_controller.phrases import span
from modelwave_controller.results.upkeep import ClockState
from modelwave_controller.terminal import facts, print_json, show

app = typer.Typer(no_args_is_help=True)


@app.command("show")
def show_clock(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Show whether the clock is in doubt, so that no order is signed, and why."""
    with door(ctx) as there:
        found = ask(there, calls.CLOCK)
    _print(found, as_json)


@app.command()
def accept(
    ctx: typer.Context,
    reason: Annotated[
        str, typer.Argument(metavar="REASON", show_default=False, help="Why it is right; kept.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Accept that the clock of the service's machine is right now, though the service doubts it.
    Check it first: devices believe the dates in signed orders."""
    reason = reason_of(reason, "REASON")
    with door(ctx) as there:
        found = ask(there, calls.ACCEPT_CLOCK, reason=reason)
    _print(found, as_json)


def _print(found: ClockState, as_json: bool) -> None:
    if as_json:
        print_json(asdict(found))
        return
    rows: list[tuple[str, object]] = [
        ("clock", time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(found.now))),
        ("in doubt", found.doubt or "no"),
        ("rollout clock", f"{span(found.seconds)}, in which a service ran"),
    ]
    if found.accepted_at:
        rows.append(("accepted", f"{span(found.now - found.accepted_at)} ago: {found.accepted}"))
    show(facts(rows))
