"""`modelwave rollout`: starts, shows, pauses and reverts rollouts."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from typing import Annotated, Any

import typer
from rich.live import Live

from modelwave_controller.cli import view
from modelwave_controller.cli.options import JsonOption
from modelwave_controller.cli.start import start
from modelwave_controller.cli.stores import opened_store, status_of
from modelwave_controller.cli.view import show_heading
from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import rollouts
from modelwave_controller.operations.status import Entry, Status, StatusReader, entries
from modelwave_controller.rollout import state
from modelwave_controller.storage.store import Store
from modelwave_controller.terminal import console, print_json, show, table

app = typer.Typer(no_args_is_help=True, help="Start, watch, pause and revert rollouts.")
app.command()(start)

RolloutArgument = Annotated[
    str, typer.Argument(show_default=False, help="Number of the rollout, or its model.")
]
NewestArgument = Annotated[
    str | None,
    typer.Argument(show_default="the newest", help="Number of the rollout, or its model."),
]
ReasonOption = Annotated[str, typer.Option(metavar="TEXT", help="Why; kept in the log.")]
MAX_REASON = 200


@app.command("status")
def show_status(
    ctx: typer.Context, rollout: NewestArgument = None, as_json: JsonOption = False
) -> None:
    """Show a rollout's status, its reason, what happens next, and a row for each stage."""
    with opened_store(ctx) as store:
        found = status_of(store, rollout)
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
    as_json: JsonOption = False,
) -> int:
    """Follow a rollout until it is over: exit code 0 if it finished, 1 if it was reverted or
    aborted. Ctrl-C ends only the watching; the rollout goes on."""
    with opened_store(ctx) as store:
        with store.read() as connection:
            reader = StatusReader(connection, rollout)

        def read() -> Status:
            with store.read() as connection:
                return reader.read(connection, time.time())

        try:
            last = _follow(read, interval, as_json)
        except KeyboardInterrupt:
            return 130
    return 0 if last.status == state.FINISHED else 1


@app.command()
def pause(
    ctx: typer.Context,
    rollout: RolloutArgument,
    reason: ReasonOption = "",
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
    """Go on after a pause; after a hold wait for the devices again, or overrule the gate."""
    if accept is not None and not accept.strip():
        raise OperatorError("--accept: say why the gate may be overruled")
    _do(ctx, rollouts.resume, rollout, _text(accept or "", "--accept"), as_json)


@app.command()
def abort(
    ctx: typer.Context,
    rollout: RolloutArgument,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Stop a rollout and leave everything as it is: the opened slots keep the new release, also
    for devices that join later; all other slots keep the old one."""
    _do(ctx, rollouts.abort, rollout, _reason(reason, "aborted by the operator"), as_json)


@app.command()
def revert(
    ctx: typer.Context,
    rollout: RolloutArgument,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Revert a release, also one that was rolled out long ago: every slot with an order for it
    gets an order for the release before."""
    _do(ctx, rollouts.revert, rollout, _reason(reason, "reverted by the operator"), as_json)


def _cell(value: Any) -> object:
    """Returns a table cell: a dash for a value that this program cannot read, because a newer one
    wrote it."""
    return ", ".join(value) or "–" if isinstance(value, list) else value or "–"


def _do(
    ctx: typer.Context,
    act: Callable[[Store, str, str, float], int],
    rollout: str,
    words: str,
    as_json: bool,
) -> None:
    with opened_store(ctx) as store:
        number = act(store, rollout, words, time.time())
        show_heading(status_of(store, str(number)), as_json)


def _reason(given: str, what: str) -> str:
    return f"{what}: {_text(given, '--reason')}" if given else what


def _text(given: str, option: str) -> str:
    """Returns an operator's text if the log may keep it. Raises OperatorError."""
    if len(given) > MAX_REASON or not given.isprintable():
        raise OperatorError(f"{option}: one line of at most {MAX_REASON} characters")
    return given


def _follow(read: Callable[[], Status], interval: float, as_json: bool) -> Status:
    """Draws the status that `read` returns until it is final, and returns the last one."""
    screen = console()
    if as_json:
        return _until_final(read, interval, _changes(_print_json_line))
    if not screen.is_terminal:
        return _until_final(read, interval, _changes(lambda found: show(view.rollout(found))))
    with Live(console=screen, auto_refresh=False) as live:
        return _until_final(
            read, interval, lambda found: live.update(view.rollout(found), refresh=True)
        )


def _until_final(
    read: Callable[[], Status], interval: float, draw: Callable[[Status], None]
) -> Status:
    while True:
        found = read()
        draw(found)
        if found.final:
            return found
        time.sleep(interval)


def _changes(draw: Callable[[Status], None]) -> Callable[[Status], None]:
    """Returns a function that draws only changes, for an output that cannot be redrawn; a
    countdown does not count as a change."""
    drawn: list[Status] = []

    def draw_change(found: Status) -> None:
        lasting = replace(found, next="", warnings=[])
        if drawn != [lasting]:
            draw(found)
            drawn[:] = [lasting]

    return draw_change


def _print_json_line(found: Status) -> None:
    print(json.dumps(found.json()), flush=True)
