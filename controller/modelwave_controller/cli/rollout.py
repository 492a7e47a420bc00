"""`modelwave rollout`: starts, shows, pauses and reverts rollouts."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from functools import partial
from math import inf
from typing import Annotated, Any

import typer
from rich.live import Live

from modelwave_controller.cli import view
from modelwave_controller.cli.control import approve, promote
from modelwave_controller.cli.lint import lint
from modelwave_controller.cli.log import rollout_log
from modelwave_controller.cli.options import (
    JsonOption,
    NewestArgument,
    ReasonOption,
    RolloutArgument,
    actor,
    duration,
    home_of,
    reason_of,
    reason_or_none,
)
from modelwave_controller.cli.report import rollout_report
from modelwave_controller.cli.start import start
from modelwave_controller.cli.stores import opened_store, status_of
from modelwave_controller.cli.view import show_heading
from modelwave_controller.interruption import Interrupted
from modelwave_controller.operations import rollouts, trusted
from modelwave_controller.operations.status import StatusReader, entries
from modelwave_controller.results.rollouts import Entry, Status
from modelwave_controller.rollout import retry as retrying
from modelwave_controller.rollout import state
from modelwave_controller.storage.store import Store
from modelwave_controller.terminal import console, print_json, show, table

app = typer.Typer(no_args_is_help=True)
app.command()(start)
app.command()(lint)
app.command("log")(rollout_log)
app.command("report")(rollout_report)
app.command()(promote)
app.command()(approve)


# Exit codes of `rollout watch`: it ends at these statuses. (1 and 2 are errors: errors.py.)
EXIT_CODES = {
    state.FINISHED: 0,
    state.REVERTED: 3,
    state.ABORTED: 4,
    state.HELD: 5,
    state.UNKNOWN: 6,
}
GOES_ON = 7  # after --timeout


@app.command("status")
def show_status(
    ctx: typer.Context, rollout: NewestArgument = None, as_json: JsonOption = False
) -> None:
    """Show a rollout's status, its reason, what happens next, and a row for each stage."""
    with opened_store(ctx) as store:
        home = home_of(ctx)
        found = status_of(store, rollout, with_series=True, trust=lambda: trusted.troubles(home))
    if as_json:
        print_json(found.json())
    else:
        show(view.rollout(found))


@app.command("list")
def list_rollouts(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """List all rollouts, the newest last."""
    with opened_store(ctx) as store, store.read() as connection:
        found = [asdict(entry) for entry in entries(connection, time.time())]
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
    with opened_store(ctx) as store:
        with store.read() as connection:
            reader = StatusReader(connection, rollout, with_series=True)

        def read() -> Status:
            with store.read() as connection:
                return reader.read(connection, time.time())

        try:
            last = _follow(read, interval, as_json, inf if timeout is None else timeout)
        except Interrupted as error:
            return error.exit_code
    return EXIT_CODES.get(last.status, GOES_ON)


@app.command()
def pause(
    ctx: typer.Context,
    rollout: RolloutArgument,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open no further stage. Devices that have an order go on; a FAIL still reverts."""
    _do(ctx, rollouts.pause, rollout, _reason(reason, "paused by the operator"), as_json)


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
    why = reason_or_none(accept, "--accept")
    _do(ctx, rollouts.resume, rollout, why, as_json)


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
            show_default=", ".join(retrying.BY_DEFAULT),
        ),
    ] = None,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Order devices of a rollout its release anew, also when the rollout is over.

    Without options these are the devices that failed or are silent.
    """
    words = [word.strip().upper() for word in outcome.split(",")] if outcome is not None else []
    why = _reason(reason, "retried by the operator")
    with opened_store(ctx) as store:
        number, _ = rollouts.retry(store, rollout, device or [], words, why, time.time(), actor())
        show_heading(status_of(store, str(number)), as_json)


@app.command()
def abort(
    ctx: typer.Context,
    rollout: RolloutArgument,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop a rollout and leave everything as it is: the opened slots keep the new release, also
    for devices that join later; all other slots keep the old one."""
    _do(ctx, rollouts.abort, rollout, _reason(reason, "aborted by the operator"), as_json)


@app.command()
def revert(
    ctx: typer.Context,
    rollout: RolloutArgument,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Revert a release, also one that was rolled out long ago: every slot with an order for it
    gets an order for the release before."""
    act = partial(rollouts.revert, minimum=home_of(ctx).root.minimum)
    _do(ctx, act, rollout, _reason(reason, "reverted by the operator"), as_json)


def _cell(value: Any) -> object:
    """Returns a table cell: a dash for a value that this program cannot read, because a newer one
    wrote it."""
    return ", ".join(value) or "–" if isinstance(value, list) else value or "–"


def _do(
    ctx: typer.Context,
    act: Callable[[Store, str, str, float, str], int],
    rollout: str,
    words: str,
    as_json: bool,
) -> None:
    with opened_store(ctx) as store:
        number = act(store, rollout, words, time.time(), actor())
        show_heading(status_of(store, str(number)), as_json)


def _reason(given: str | None, what: str) -> str:
    return what if given is None else f"{what}: {reason_of(given, '--reason')}"


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
