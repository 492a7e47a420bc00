"""`modelwave clock`: shows whether the controller's clock is in doubt, and accepts it."""

import time
from typing import Annotated

import typer

from modelwave_controller.cli.options import JsonOption, actor, reason_of
from modelwave_controller.cli.stores import opened_store
from modelwave_controller.operations import acts
from modelwave_controller.phrases import span
from modelwave_controller.storage import clock
from modelwave_controller.storage.clock import Stored
from modelwave_controller.terminal import facts, print_json, show

app = typer.Typer(no_args_is_help=True)


@app.command("show")
def show_clock(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Show whether the clock is in doubt, so that no order is signed, and why."""
    with opened_store(ctx) as store, store.read() as connection:
        found = clock.stored(connection)
    _print(found, as_json)


@app.command()
def accept(
    ctx: typer.Context,
    reason: Annotated[
        str, typer.Argument(metavar="REASON", show_default=False, help="Why it is right; kept.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Accept that this machine's clock is right now, though the service doubts it. Check it
    first: devices believe the dates in signed orders."""
    reason = reason_of(reason, "REASON")
    with opened_store(ctx) as store, store.write() as connection:
        acts.accept_clock(connection, reason, time.time(), actor())
        found = clock.stored(connection)
    _print(found, as_json)


def _print(found: Stored, as_json: bool) -> None:
    if as_json:
        names = ("seconds", "doubt", "accepted", "accepted_at")
        print_json({name: getattr(found, name) for name in names})
        return
    now = time.time()
    rows: list[tuple[str, object]] = [
        ("this machine", time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(now))),
        ("in doubt", found.doubt or "no"),
        ("rollout clock", f"{span(found.seconds)}, in which a service ran"),
    ]
    if found.accepts:
        rows.append(("accepted", f"{span(now - found.accepted_at)} ago: {found.accepted}"))
    show(facts(rows))
