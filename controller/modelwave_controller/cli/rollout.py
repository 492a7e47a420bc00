"""`modelwave rollout`: starts, shows, pauses and reverts rollouts."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from math import inf
from typing import Annotated, Any

import typer
from rich.live import Live

from modelwave_controller.api import rollouts as calls
from modelwave_controller.api.call import Call
from modelwave_controller.cli import later, view
from modelwave_controller.cli.control import approve, promote
from modelwave_controller.cli.doors import ask, door
from modelwave_controller.cli.later import Place
from modelwave_controller.cli.options import (
    JsonOption,
    NewestArgument,
    ReasonOption,
    RolloutArgument,
    duration,
    reason_or_none,
)
from modelwave_controller.cli.view import show_heading
from modelwave_controller.interruption import Interrupted
from modelwave_controller.results.rollouts import Entry, Status
from modelwave_controller.rollout import answer_words, statuses
from modelwave_controller.terminal import console, print_json, say, show, table

app = typer.Typer(no_args_is_help=True)
# They bring what plans, pages and logs need, which no other command here does.
LATER = {
    "start": Place(
        "start",
        "start",
        "Roll a release out to the fleet in stages; the gate of each stage opens the next.",
    ),
    "lint": Place(
        "lint", "lint", "Check a plan, and print what is judged at each of its stages, and when."
    ),
    "log": Place(
        "log",
        "rollout_log",
        "Print what happened to a rollout, who did it and why, the newest last.",
    ),
    "report": Place(
        "report",
        "rollout_report",
        "Write a page about a rollout for your files: stages, gates, devices in trouble, who did "
        "what.",
    ),
}
later.add(app, LATER)
app.command()(promote)
app.command()(approve)


# Exit codes of `rollout watch`: it ends at these statuses. (1 and 2 are errors: errors.py.)
EXIT_CODES = {
    statuses.FINISHED: 0,
    statuses.REVERTED: 3,
    statuses.ABORTED: 4,
    statuses.HELD: 5,
    statuses.UNKNOWN: 6,
}
GOES_ON = 7  # after --timeout


@app.command("status")
def show_status(
    ctx: typer.Context, rollout: NewestArgument = None, as_json: JsonOption = False
) -> None:
    """Show a rollout's status, its reason, what happens next, and a row for each stage."""
    with door(ctx) as there:
        found = ask(there, calls.STATUS, rollout=calls.newest_if_none(rollout))
    if as_json:
        print_json(found.json())
    else:
        show(view.rollout(found))


@app.command("list")
def list_rollouts(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """List all rollouts, the newest last."""
    with door(ctx) as there:
        found = [asdict(entry) for entry in ask(there, calls.LIST)]
    if as_json:
        print_json(found)
        return
    columns = [field.name for field in fields(Entry)]
    show(table(columns, [[_cell(entry[column]) for column in columns] for entry in found]))


@app.command()
def watch(
    ctx: typer.Context,
    rollout: NewestArgument = None,
    interval: Annotated[float, typer.Option(min=0.05, max=60, help="Seconds.")] = 0.5,
    timeout: Annotated[
        int | None,
        typer.Option(
            metavar="DURATION",
            help="End the watching after this time, such as 90s, 15m or 1h.",
            parser=duration,
            show_default="none",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Follow a rollout until it is over or held.

    The exit code says how it stands: 0 FINISHED, 3 REVERTED, 4 ABORTED, 5 HELD, 6 UNKNOWN;
    7 if it goes on after --timeout. Ctrl-C (130) and SIGTERM (143) end only
    the watching.
    """
    with door(ctx) as there:
        which = str(ask(there, calls.STATUS, rollout=calls.newest_if_none(rollout)).rollout)

        def read() -> Status:
            return ask(there, calls.STATUS, rollout=which)

        try:
            last = _follow(read, interval, as_json, inf if timeout is None else timeout)
        except Interrupted as error:
            return error.exit_code
    if last.status not in EXIT_CODES:
        again = f"`modelwave rollout watch {last.rollout}` follows it on"
        say(f"the time is over and rollout {last.rollout} is {last.status}: {again}", stderr=True)
    return EXIT_CODES.get(last.status, GOES_ON)


@app.command()
def pause(
    ctx: typer.Context,
    rollout: RolloutArgument,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open no further stage. Devices that have an order go on; a FAIL still reverts."""
    _do(ctx, calls.PAUSE, as_json, rollout=rollout, reason=reason_or_none(reason, "--reason"))


@app.command()
def resume(
    ctx: typer.Context,
    rollout: RolloutArgument,
    accept: Annotated[
        str | None, typer.Option(metavar="REASON", help="Overrule the gate that holds the rollout.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Go on after a pause; after a hold, order its devices anew or overrule the gate."""
    _do(ctx, calls.RESUME, as_json, rollout=rollout, accept=reason_or_none(accept, "--accept"))


@app.command()
def retry(
    ctx: typer.Context,
    rollout: NewestArgument = None,
    device: Annotated[
        list[str] | None,
        typer.Option(metavar="DEVICE", help="Only this device; may be given several times."),
    ] = None,
    outcome: Annotated[
        str | None,
        typer.Option(
            metavar="OUTCOME,…",
            help="Those with one of these outcomes, such as FAILED,REJECTED.",
            show_default=", ".join(answer_words.BY_DEFAULT),
        ),
    ] = None,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Order devices of a rollout its release anew, also when the rollout is over.

    Without options these are the devices that failed or are silent.
    """
    words = [word.strip().upper() for word in outcome.split(",")] if outcome is not None else []
    _do(
        ctx,
        calls.RETRY,
        as_json,
        rollout=calls.newest_if_none(rollout),
        devices=device or [],
        outcomes=words,
        reason=reason_or_none(reason, "--reason"),
    )


@app.command()
def abort(
    ctx: typer.Context,
    rollout: RolloutArgument,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop a rollout and leave everything as it is: the opened slots keep the new release, also
    for devices that join later; all other slots keep the old one."""
    _do(ctx, calls.ABORT, as_json, rollout=rollout, reason=reason_or_none(reason, "--reason"))


@app.command()
def revert(
    ctx: typer.Context,
    rollout: RolloutArgument,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Revert a release, also one that was rolled out long ago: every slot with an order for it
    gets an order for the release before."""
    _do(ctx, calls.REVERT, as_json, rollout=rollout, reason=reason_or_none(reason, "--reason"))


def _cell(value: Any) -> object:
    """Returns a table cell: a dash for a value that this program cannot read, because a newer one
    wrote it."""
    return ", ".join(value) or "–" if isinstance(value, list) else value or "–"


def _do(ctx: typer.Context, call: Call[Any, Status], as_json: bool, **said: Any) -> None:
    with door(ctx) as there:
        found = ask(there, call, **said)
    show_heading(found, as_json)


def _follow(read: Callable[[], Status], interval: float, as_json: bool, timeout: float) -> Status:
    """Draws the status that `read` returns until watching ends, and returns the last one."""
    screen = console()
    if as_json:
        return _until_end(read, interval, _changes(_print_json_line), timeout)
    if not screen.is_terminal:
        draw = _changes(lambda found: show(view.rollout(found)))
        return _until_end(read, interval, draw, timeout)
    screen.soft_wrap = False  # Live cuts what it does not wrap itself
    with Live(console=screen, auto_refresh=False) as live:
        return _until_end(
            read, interval, lambda found: live.update(view.rollout(found), refresh=True), timeout
        )


def _until_end(
    read: Callable[[], Status],
    interval: float,
    draw: Callable[[Status], None],
    timeout: float = inf,
) -> Status:
    end = time.monotonic() + timeout
    while True:
        found = read()
        draw(found)
        left = end - time.monotonic()
        if found.status in EXIT_CODES or left <= 0:
            return found
        time.sleep(min(interval, left))


def _changes(draw: Callable[[Status], None]) -> Callable[[Status], None]:
    """Returns a function that draws only changes, for an output that cannot be redrawn. A countdown
    does not count as a change, nor do further windows: what they say is judged by looks."""
    drawn: list[Status] = []

    def draw_change(found: Status) -> None:
        lasting = replace(found, next="", warnings=[], next_look="", series={})
        if drawn != [lasting]:
            draw(found)
            drawn[:] = [lasting]

    return draw_change


def _print_json_line(found: Status) -> None:
    print(json.dumps(found.json()), flush=True)
