"""`modelwave log verify`: finds what was changed in the log afterwards."""

from typing import Annotated

import typer

from modelwave_controller.cli.options import JsonOption
from modelwave_controller.cli.progress import progress
from modelwave_controller.cli.stores import opened_store
from modelwave_controller.errors import TrustError
from modelwave_controller.operations.log_verifying import head_of
from modelwave_controller.operations.log_verifying import verify as verified
from modelwave_controller.operations.log_walk import Head, Walk, WrongLog
from modelwave_controller.phrases import plural
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
    kept = None if head is None else head_of(head)
    try:
        with opened_store(ctx) as store, progress() as tell:
            found = verified(store, kept, lambda n, of: tell("log", n, of))
    except WrongLog as error:
        if as_json:
            print_json({"whole": False, "event": error.event, "problem": error.problem})
        raise TrustError(f"the log is wrong: {error.problem}; {_WHAT_TO_DO}") from error
    if as_json:
        _print_json(found, kept)
    else:
        _print(found, kept)


def _print_json(found: Walk, kept: Head | None) -> None:
    newest = str(found.head) if found.head else None
    counted = {"events": found.events, "deleted_answers": found.deleted}
    print_json({"whole": True, **counted, "head": newest, "kept_head": kept and str(kept)})


def _print(found: Walk, kept: Head | None) -> None:
    deleted = f", and {plural(found.deleted, 'answer')} that pruning deleted"
    say(f"the log is whole: {plural(found.events, 'event')}{deleted if found.deleted else ''}")
    if kept:
        say(f"what was the log at event {kept.event} is the beginning of it")
    if found.head:
        say(f"head: {found.head}")
        say("keep it elsewhere: `modelwave log verify --head` compares it later", stderr=True)
