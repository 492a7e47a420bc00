"""`modelwave rollout promote` and `approve`: end a soak, and the wait for an approval."""

from typing import Annotated

import typer

from modelwave_controller.api import rollouts as calls
from modelwave_controller.cli.doors import ask, door
from modelwave_controller.cli.options import (
    JsonOption,
    ReasonOption,
    RolloutArgument,
    reason_of,
    reason_or_none,
)
from modelwave_controller.cli.view import show_heading
from modelwave_controller.terminal import safe, say


def promote(
    ctx: typer.Context,
    rollout: RolloutArgument,
    full: Annotated[
        bool, typer.Option("--full", help="The stages after it do not soak either.")
    ] = False,
    force: Annotated[
        str | None,
        typer.Option(
            metavar="REASON", help="Also if a gate is pending, INCONCLUSIVE or FAIL; kept."
        ),
    ] = None,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """End the soak of the newest stage, so that the next one opens now; or the wait for a start
    time.

    It skips the soak, and looks that no gate of the plan waits for. The gate of each further stage
    still decides by its devices' answers, also with --full.
    """
    why = reason_or_none(reason, "--reason")
    if force is not None:
        why = reason_of(force, "--force")
    with door(ctx) as there:
        found = ask(
            there, calls.PROMOTE, rollout=rollout, reason=why, force=force is not None, full=full
        )
    show_heading(found.status, as_json)
    if not as_json:
        say(f"  [yellow]skipped {safe(found.skipped)}[/]")


def approve(
    ctx: typer.Context,
    rollout: RolloutArgument,
    stage: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", show_default="the next", help="Also ahead of time."),
    ] = None,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Approve a stage before which the plan asks for approval, so that it may open."""
    why = reason_or_none(reason, "--reason")
    with door(ctx) as there:
        found = ask(there, calls.APPROVE_STAGE, rollout=rollout, stage=stage, reason=why)
    show_heading(found, as_json)
