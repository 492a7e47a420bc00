"""`modelwave rollout log` and `modelwave fleet log`: print the event log."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from modelwave_controller.cli.options import JsonOption, NewestArgument, duration
from modelwave_controller.cli.stores import opened_store
from modelwave_controller.operations.history import History, number_of
from modelwave_controller.phrases import moment, plural
from modelwave_controller.results.log import LogEntry
from modelwave_controller.storage.log import Wanted
from modelwave_controller.terminal import plain, say

DEFAULT_LIMIT, MAX_LIMIT = 1000, 1_000_000

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
    int, typer.Option(min=1, max=MAX_LIMIT, help="At most as many lines, the newest.")
]


def rollout_log(
    ctx: typer.Context,
    rollout: NewestArgument = None,
    answers: AnswersOption = False,
    since: SinceOption = None,
    limit: LimitOption = DEFAULT_LIMIT,
    utc: UtcOption = False,
    as_json: JsonOption = False,
) -> None:
    """Print what happened to a rollout, who did it and why, the newest last."""
    with opened_store(ctx) as store:
        wanted = Wanted(number_of(store, rollout), answers, _start(since))
        _print(History(store, wanted, limit), utc, as_json)


def fleet_log(
    ctx: typer.Context,
    answers: AnswersOption = False,
    since: SinceOption = None,
    limit: LimitOption = DEFAULT_LIMIT,
    utc: UtcOption = False,
    as_json: JsonOption = False,
) -> None:
    """Print what happened to all rollouts, and what operators did besides, the newest last."""
    with opened_store(ctx) as store:
        _print(History(store, Wanted(None, answers, _start(since)), limit), utc, as_json)


def _start(since: int | None) -> float | None:
    return None if since is None else time.time() - since


def _print(found: History, utc: bool, as_json: bool) -> None:
    shown: Callable[[LogEntry], str] = _json if as_json else lambda entry: _text(entry, utc)
    if found.older:
        say("older lines are left out: --limit gives more", stderr=True)
    for entry in found:
        print(shown(entry))
    if found.hidden:
        answers = plural(found.hidden, "answer")
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
