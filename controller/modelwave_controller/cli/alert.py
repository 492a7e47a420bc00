"""`modelwave alert`: shows the alerts of the settings, and sends one to try it."""

import time
from dataclasses import asdict
from typing import Annotated

import typer

from modelwave_controller.api import alerts as calls
from modelwave_controller.cli.doors import ask, door
from modelwave_controller.cli.options import JsonOption
from modelwave_controller.phrases import span
from modelwave_controller.results.alerts import AlertState
from modelwave_controller.terminal import print_json, safe, say, show, table

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_alerts(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """List the alerts: what each tells and how, what waits, and what went wrong last."""
    with door(ctx) as there:
        found = ask(there, calls.LIST)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    if not found:
        nothing = "there is no alert: add [[alerts]] to controller.toml (docs/alerts.md)"
        say(safe(nothing), stderr=True)
        return
    now = time.time()
    columns = ("name", "on", "by", "cursor", "waiting", "last sent", "last error")
    show(table(columns, [_row(one, now) for one in found]))


@app.command("test")
def send_test(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", show_default=False, help="As in controller.toml.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Send a message that tells nothing, once, and say whether it was taken."""
    with door(ctx) as there:
        found = ask(there, calls.TEST, alert=name)
    if as_json:
        print_json(asdict(found))
        return
    say(f"alert {safe(found.alert)}: {safe(found.way)} took the message {safe(found.id)}")


def _row(one: AlertState, now: float) -> tuple[str, ...]:
    sent = f"{span(now - one.sent_at)} ago" if one.sent_at else "never"
    return (
        one.name,
        ", ".join(one.on),
        one.way,
        "none yet" if one.cursor is None else str(one.cursor),
        str(one.waiting),
        sent,
        _error(one, now),
    )


def _error(one: AlertState, now: float) -> str:
    given_up = [f"{one.given_up} given up"] if one.given_up else []
    if one.error:
        tried = f", tried {one.tries} times" if one.tries else ""
        given_up.insert(0, f"{span(now - (one.error_at or now))} ago{tried}: {one.error}")
    return "; ".join(given_up) or "none"
