"""`modelwave rollout log` and `modelwave fleet log`: print the event log."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from modelwave_controller.api import fleet as calls
from modelwave_controller.api.fleet import LOG_PAGE, MAX_LINES
from modelwave_controller.api.rollouts import newest_if_none
from modelwave_controller.cli.doors import ask, door
from modelwave_controller.cli.options import JsonOption, NewestArgument, duration
from modelwave_controller.phrases import moment, plural
from modelwave_controller.results.log import LogEntry
from modelwave_controller.terminal import plain, say

UtcOption = Annotated[bool, typer.Option("--utc", help="Print times in UTC.")]
AnswersOption = Annotated[
    bool, typer.Option("--answers", help="Print devices' answers too: one for each change.")
]
SinceOption = Annotated[
    int | None,
    typer.Option(
        metavar="DURATION",
        help="Only the last 90s, 15m, 1h or 2d.",
        parser=duration,
        show_default=False,
    ),
]
LimitOption = Annotated[
    int, typer.Option(min=1, max=MAX_LINES, help="At most as many lines, the newest.")
]


def rollout_log(
    ctx: typer.Context,
    rollout: NewestArgument = None,
    answers: AnswersOption = False,
    since: SinceOption = None,
    limit: LimitOption = LOG_PAGE,
    utc: UtcOption = False,
    as_json: JsonOption = False,
) -> None:
    """Print what happened to a rollout, who did it and why, the newest last."""
    which = newest_if_none(rollout)
    _print(ctx, utc, as_json, rollout=which, answers=answers, since=_start(since), limit=limit)


def fleet_log(
    ctx: typer.Context,
    answers: AnswersOption = False,
    since: SinceOption = None,
    limit: LimitOption = LOG_PAGE,
    utc: UtcOption = False,
    as_json: JsonOption = False,
) -> None:
    """Print what happened to all rollouts, and what operators did besides, the newest last."""
    _print(ctx, utc, as_json, answers=answers, since=_start(since), limit=limit)


def _start(since: int | None) -> float | None:
    return None if since is None else time.time() - since


def _print(ctx: typer.Context, utc: bool, as_json: bool, **said: Any) -> None:
    shown: Callable[[LogEntry], str] = _json if as_json else lambda entry: _text(entry, utc)
    with door(ctx) as there:
        first = page = ask(there, calls.LOG, **said)
        if first.older:
            say("older lines are left out: --limit gives more", stderr=True)
        while True:
            for entry in page.entries:
                print(shown(entry))
            if not page.next:
                break
            page = ask(there, calls.LOG, **said, cursor=page.next)
    if first.hidden:
        answers = plural(first.hidden, "answer")
        say(f"{answers} of devices left out: --answers prints them", stderr=True)


def _text(entry: LogEntry, utc: bool) -> str:
    reason = f": {entry.reason}" if entry.reason else ""
    number = "–" if entry.rollout is None else entry.rollout
    who = f"{number:>4}  {plain(entry.actor):20}"
    return f"{moment(entry.at, utc)}  {who}  {plain(entry.what + reason)}"


def _json(entry: LogEntry) -> str:
    return json.dumps(asdict(entry) | {"at": iso(entry.at)})


def iso(seconds: float) -> str | None:
    """Returns a moment in UTC, such as "2026-11-29T08:15:49.000Z"; None if it is no date."""
    try:
        at = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
