"""`modelwave log`: verifies the log, and makes room in it."""

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from modelwave_controller.api import upkeep as calls
from modelwave_controller.cli.doors import ask, door
from modelwave_controller.cli.log_verify import verify
from modelwave_controller.cli.options import JsonOption, YesOption, duration, home_of
from modelwave_controller.cli.progress import progress
from modelwave_controller.cli.stores import opened_store
from modelwave_controller.phrases import plural, span
from modelwave_controller.results.upkeep import PrunedRollout
from modelwave_controller.terminal import print_json, say

app = typer.Typer(no_args_is_help=True, help="Verify the log of all rollouts; make room in it.")
app.command()(verify)


@app.callback()
def group() -> None:
    """Verify the log of all rollouts; make room in it."""


@app.command()
def prune(
    ctx: typer.Context,
    older_than: Annotated[
        int,
        typer.Option(
            metavar="DURATION",
            help="Only of rollouts over which this time has passed: 30d.",
            parser=duration,
            show_default="90d",
        ),
    ] = calls.PRUNED_AFTER,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be.")] = False,
    vacuum: Annotated[
        bool,
        typer.Option(
            "--vacuum",
            help="Then give the room back to the disk: it writes the database anew, and the "
            "service waits meanwhile. Without it the database uses the room again.",
        ),
    ] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete devices' answers to old rollouts, which are most of the log, and keep their counts.

    Afterwards `rollout status` shows of such a rollout how many devices gave which answer, and not
    which ones. A rollout that is not over is never touched. Make a backup first: what is deleted
    is in no other place. On a terminal it asks before."""
    if vacuum:
        home_of(ctx, "--vacuum")
    if not (yes or dry_run) and sys.stdin.isatty():
        _confirm(ctx, older_than)
    with progress() as tell, door(ctx, tell) as there:
        call = calls.PRUNABLE if dry_run else calls.PRUNE_LOG
        found = ask(there, call, older_than=older_than)
    if vacuum and not dry_run:
        with opened_store(ctx) as store:
            store.vacuum()
    _print(found, older_than, dry_run, as_json)


def _confirm(ctx: typer.Context, older_than: int) -> None:
    with door(ctx) as there:
        found = ask(there, calls.PRUNABLE, older_than=older_than)
    if not found:
        return
    answers = plural(sum(one.answers for one in found), "answer")
    over = f"{plural(len(found), 'rollout')} over for more than {span(older_than)}"
    typer.confirm(f"Delete {answers} to {over}?", abort=True, err=True)


def _print(found: list[PrunedRollout], older_than: int, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json([asdict(one) for one in found])
        return
    done = "would be deleted" if dry_run else "deleted, their counts kept"
    for one in found:
        say(f"rollout {one.rollout} ({one.model}): {plural(one.answers, 'answer')} {done}")
    if not found:
        say(
            f"nothing to delete: the log has no answers to a rollout that has been over for "
            f"{span(older_than)} and whose release is ordered no more"
        )
