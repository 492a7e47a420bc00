"""`modelwave log verify`: finds what was changed in the log afterwards."""

from dataclasses import asdict
from typing import Annotated

import typer

from modelwave_controller.api import upkeep as calls
from modelwave_controller.cli.doors import ask, door
from modelwave_controller.cli.options import JsonOption
from modelwave_controller.cli.progress import progress
from modelwave_controller.errors import TrustError
from modelwave_controller.phrases import plural
from modelwave_controller.results.upkeep import VerifiedLog
from modelwave_controller.terminal import print_json, say

_WHAT_TO_DO = (
    "stop the service, keep a copy of the database for whoever looks into it, and `modelwave "
    "restore FILE` puts a backup of before in its place"
)


def verify(
    ctx: typer.Context,
    head: Annotated[
        str | None,
        typer.Option(
            metavar="ID:HASH",
            help="As it was printed earlier, and kept elsewhere: what was the log then must be the "
            "beginning of this one.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Verify that no event of the log was changed, removed, added or moved.

    It computes the hash chain over the log anew and prints its head. Keep that elsewhere: who can
    write the database can also make a new chain, and only a head of before shows that. The service
    may run meanwhile."""
    with progress() as tell, door(ctx, tell) as there:
        found = ask(there, calls.VERIFY_LOG, head=head)
    if as_json:
        print_json(asdict(found))
    if not found.whole:
        raise TrustError(f"the log is wrong: {found.problem}; {_WHAT_TO_DO}")
    if not as_json:
        _print(found)


def _print(found: VerifiedLog) -> None:
    deleted = f", and {plural(found.deleted_answers, 'answer')} that pruning deleted"
    counted = plural(found.events, "event")
    say(f"the log is whole: {counted}{deleted if found.deleted_answers else ''}")
    if found.kept_head:
        event = found.kept_head.partition(":")[0]
        say(f"what was the log at event {event} is the beginning of it")
    if found.head:
        say(f"head: {found.head}")
        say("keep it elsewhere: `modelwave log verify --head HEAD` compares it later", stderr=True)
