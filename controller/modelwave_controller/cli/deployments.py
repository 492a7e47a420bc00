"""`modelwave fleet deployments`: prints which device ran which release when, as CSV or JSON."""

import csv
import json
import sys
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

from modelwave_controller.api import fleet as calls
from modelwave_controller.cli.doors import ask, door
from modelwave_controller.cli.log import iso
from modelwave_controller.cli.options import duration
from modelwave_controller.phrases import plural
from modelwave_controller.results.deployments import Deployment
from modelwave_controller.terminal import plain, say

COLUMNS = (
    "device",
    "target",
    "model",
    "release",
    "version",
    "manifest_sha256",
    "ran",
    "from",
    "until",
    "ended_by",
    "rollout",
    "order",
    "purpose",
    "ordered_at",
    "ordered_by",
)
_TIMES = ("from", "until", "ordered_at")
# What a spreadsheet takes for a formula, also in the wide form of East Asian fonts.
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def fleet_deployments(
    ctx: typer.Context,
    model: Annotated[str, typer.Option(show_default="all", help="Only of this model.")] = "",
    device: Annotated[str, typer.Option(show_default="all", help="Only of this device.")] = "",
    since: Annotated[
        int | None,
        typer.Option(
            metavar="DURATION",
            help="Only what ran in the last 90s, 15m, 1h or 2d.",
            parser=duration,
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, an object a line, in place of CSV.")
    ] = False,
) -> None:
    """Print which device ran which release when, from the event log, as CSV.

    Times are in UTC. They are those of the devices' answers: live from SUCCEEDED on, until another
    release, or until the device takes the same one anew, as after a wipe. Trials that went back and
    shadow runs have rows of their own. Rows are in the order in which they ended; what still runs
    is last, and has no end.
    """
    begin = None if since is None else time.time() - since
    write = _write_json if as_json else _write_csv()
    said = {"model": model, "device": device, "since": begin}
    with door(ctx) as there:
        page = ask(there, calls.DEPLOYMENTS_OF, **said)
        while True:
            for one in page.rows:
                write(_row(one))
            if not page.next:
                break
            page = ask(there, calls.DEPLOYMENTS_OF, **said, cursor=page.next)
    if page.unknown:
        answers = plural(page.unknown, "answer")
        say(f"{answers} to orders that this log does not have left out", stderr=True)


def _row(one: Deployment) -> dict[str, Any]:
    row: dict[str, Any] = dict(zip(COLUMNS, one, strict=True))
    return row | {name: None if row[name] is None else iso(row[name]) for name in _TIMES}


def _write_json(row: dict[str, Any]) -> None:
    print(json.dumps(row))


def _write_csv() -> Callable[[dict[str, Any]], None]:
    writer = csv.writer(sys.stdout, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(COLUMNS)
    return lambda row: writer.writerow([cell(value) for value in row.values()])


def cell(value: object) -> str:
    """Returns the text of a cell. One that a spreadsheet would take for a formula begins with an
    apostrophe, as OWASP advises ("CSV Injection")."""
    text = "" if value is None else plain(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
