"""`modelwave rollout start`: reads the options of a plan, and asks for a rollout or a dry run."""

import shlex
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel

from modelwave_controller import disk, interruption, phrases
from modelwave_controller.api import starts as calls
from modelwave_controller.cli.doors import ask, door
from modelwave_controller.cli.heldout_view import metric_rows
from modelwave_controller.cli.options import (
    JsonOption,
    command_again,
    duration,
    path,
    reason_or_none,
    short_duration,
)
from modelwave_controller.cli.sight_view import show_sights
from modelwave_controller.cli.view import show_heading
from modelwave_controller.errors import NoDeviceError, OperatorError
from modelwave_controller.operations import starting
from modelwave_controller.results.starts import DryRun, PlannedDevice, Started
from modelwave_controller.rollout import plan
from modelwave_controller.rollout.plan import Plan, Stage
from modelwave_controller.terminal import print_json, safe, say, show, table

SHOWN_NAMES = 12
DEFAULT_WAIT_SECONDS, MAX_WAIT_SECONDS = 10, 3600
POLL_SECONDS, MAX_POLL_SECONDS = 0.1, 1.0

T = TypeVar("T")


def _of_stage(field: str, help: str) -> Any:
    """Returns an option that sets a field of every stage."""
    unit = field.rpartition("_")[2].upper()
    text = f"{help} {_default(Stage, field)}"
    if unit == "SECONDS":
        return typer.Option(metavar="DURATION", help=text, parser=duration)
    return typer.Option(metavar=unit, help=text)


def _default(model: type[BaseModel], field: str) -> str:
    value = model.model_fields[field].default
    shown = phrases.duration(value) if field.endswith("_seconds") else str(value)
    return f"(default {shown})".replace(".0)", ")")


def start(
    ctx: typer.Context,
    model: Annotated[
        str, typer.Argument(metavar="MODEL", show_default=False, help="Name of the model.")
    ],
    release: Annotated[
        str,
        typer.Argument(
            metavar="RELEASE", show_default=False, help="Its number, or else its version."
        ),
    ],
    target: Annotated[
        list[str] | None, typer.Option(help="Only these; else all targets of the release.")
    ] = None,
    plan_file: Annotated[
        Path | None,
        typer.Option(
            "--plan", help="TOML (docs/operations.md), instead of these options.", parser=path
        ),
    ] = None,
    stages: Annotated[
        str | None,
        typer.Option(
            metavar="PERCENTS",
            help=f"(default {','.join(f'{percent:g}' for percent in plan.DEFAULT_PERCENTS)})",
        ),
    ] = None,
    soak: Annotated[
        int | None, _of_stage("soak_seconds", "Least time before the next stage opens.")
    ] = None,
    deadline: Annotated[
        int | None,
        _of_stage("deadline_seconds", "After it, devices without an outcome are silent."),
    ] = None,
    max_rolled_back: Annotated[
        float | None, _of_stage("max_rolled_back_percent", "More are a FAIL.")
    ] = None,
    max_failed: Annotated[
        float | None, _of_stage("max_failed_percent", "More hold the rollout.")
    ] = None,
    max_rejected: Annotated[
        float | None, _of_stage("max_rejected_percent", "More hold the rollout.")
    ] = None,
    max_silent: Annotated[
        float | None, _of_stage("max_silent_percent", "More hold the rollout.")
    ] = None,
    min_succeeded: Annotated[
        float | None, _of_stage("min_succeeded_percent", "Fewer hold the rollout.")
    ] = None,
    shadow: Annotated[
        int | None,
        typer.Option(
            metavar="DURATION",
            help="First run it beside the live model for this long, on the first stage's devices.",
            parser=duration,
        ),
    ] = None,
    trial_seconds: Annotated[
        int | None,
        typer.Option(
            "--trial",
            "--trial-seconds",
            metavar="DURATION",
            help="Trial before a device confirms. "
            f"(default {phrases.duration(plan.DEFAULT_TRIAL_SECONDS)})",
            parser=duration,
        ),
    ] = None,
    trial_inferences: Annotated[
        int | None, typer.Option(metavar="COUNT", help="Inferences the trial needs. (default 0)")
    ] = None,
    trial_max_failed: Annotated[
        float | None,
        typer.Option(
            metavar="PERCENT",
            help="More failed inferences on trial roll back; give --trial-inferences. (default 0)",
        ),
    ] = None,
    least_devices: Annotated[
        int | None,
        typer.Option(
            metavar="COUNT",
            help="At least so many devices of each target in a stage. "
            f"(default {plan.Judge().least_devices})",
        ),
    ] = None,
    on_fail: Annotated[
        str | None, typer.Option(help=f"revert or hold. {_default(Plan, 'on_fail')}")
    ] = None,
    expires: Annotated[
        int | None,
        typer.Option(
            metavar="DURATION",
            help=f"How long its orders are valid. {_default(Plan, 'expires_seconds')}",
            parser=duration,
        ),
    ] = None,
    devices_per_minute: Annotated[
        int | None,
        typer.Option(metavar="COUNT", help="A stage opens so many. (default all at once)"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            help="Draws the devices of the stages as another rollout did with it; else random.",
        ),
    ] = None,
    lift_ban: Annotated[
        str | None,
        typer.Option(
            metavar="REASON",
            help="Also devices on which the release failed a health check try it; kept in the log.",
        ),
    ] = None,
    accept_blind: Annotated[
        str | None,
        typer.Option(
            metavar="REASON",
            help="Also with gates that a stage of this fleet cannot judge; kept in the log.",
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Open no stage before this moment, such as 2026-11-30T02:00+01:00.",
        ),
    ] = None,
    within: Annotated[
        int | None,
        typer.Option("--in", metavar="DURATION", help="The same, from now on.", parser=duration),
    ] = None,
    supersede: Annotated[
        str | None,
        typer.Option(
            metavar="REASON",
            help="End a rollout that is under way for its targets; kept in the log.",
        ),
    ] = None,
    wait_devices: Annotated[
        float,
        typer.Option(
            metavar="DURATION",
            help="How long to wait for a first device that reports the model.",
            parser=short_duration,
            show_default=f"{DEFAULT_WAIT_SECONDS}s",
        ),
    ] = DEFAULT_WAIT_SECONDS,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Only print which device would be in which stage, and what harm that would show.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Roll a release out to the fleet in stages; the gate of each stage opens the next.

    A DURATION is such as 90s, 10m, 1h or 2d; a number alone means seconds.
    """
    if wait_devices > MAX_WAIT_SECONDS:
        raise OperatorError(f"--wait-devices: at most {phrases.duration(MAX_WAIT_SECONDS)}")
    stage: dict[str, float | None] = {
        "soak_seconds": soak,
        "deadline_seconds": deadline,
        "max_rolled_back_percent": max_rolled_back,
        "max_failed_percent": max_failed,
        "max_rejected_percent": max_rejected,
        "max_silent_percent": max_silent,
        "min_succeeded_percent": min_succeeded,
    }
    trial: dict[str, float | None] = {
        "seconds": trial_seconds,
        "inferences": trial_inferences,
        "max_failed_percent": trial_max_failed,
    }
    judge = None if least_devices is None else {"least_devices": least_devices}
    rest = {
        "on_fail": on_fail,
        "expires_seconds": expires,
        "judge": judge,
        "devices_per_minute": devices_per_minute,
        "shadow": None if shadow is None else {"seconds": shadow},
    }
    said: dict[str, Any] = {
        "model": model,
        "release": release,
        "targets": target or [],
        "plan": _plan(plan_file, stages, stage, trial, rest),
        "seed": seed,
        "lift_ban": reason_or_none(lift_ban, "--lift-ban"),
        "accept_blind": reason_or_none(accept_blind, "--accept-blind"),
        "start_at": starting.start_at(at, within, time.time()),
        "supersede": reason_or_none(supersede, "--supersede"),
    }
    with door(ctx) as there:
        if dry_run:
            again = command_again(ctx, ("dry_run", "as_json", "wait_devices", "seed"))
            found = _awaiting_device(lambda: ask(there, calls.DRY_RUN, **said), wait_devices)
            _show_dry_run(found, again, as_json)
        else:
            begun = _awaiting_device(lambda: ask(there, calls.START, **said), wait_devices)
            _show_started(begun, as_json)


def _show_started(begun: Started, as_json: bool) -> None:
    for line in begun.deltas:
        say(f"  {safe(line)}", stderr=as_json)
    if begun.no_deltas:
        say(f"  [yellow]but   {safe(begun.no_deltas)}[/]", stderr=as_json)
    show_heading(begun.status, as_json)
    for line in begun.but:
        say(f"  [yellow]but   {safe(line)}[/]", stderr=as_json)


def _awaiting_device(act: Callable[[], T], seconds: float) -> T:
    """Returns what `act` returns. Calls it again for up to `seconds` if it raises NoDeviceError: an
    agent that was started just now needs some seconds until its report is stored."""
    deadline = time.monotonic() + seconds
    said, pause = False, POLL_SECONDS
    while True:
        try:
            return act()
        except NoDeviceError as error:
            if time.monotonic() >= deadline:
                raise
            if not said:
                what = str(error).partition(":")[0]
                say(
                    f"{safe(what)} yet: waiting up to {seconds:g} s for the first (Ctrl-C ends it)",
                    stderr=True,
                )
                said = True
        with interruption.saying("no rollout was started"):
            time.sleep(pause)
        pause = min(1.5 * pause, MAX_POLL_SECONDS)


def _plan(
    file: Path | None,
    percents: str | None,
    stage: dict[str, float | None],
    trial: dict[str, float | None],
    rest: dict[str, Any],
) -> Plan:
    if file is None:
        return plan.from_options(percents, stage, trial, rest)
    given = [percents, *stage.values(), *trial.values(), *rest.values()]
    if any(value is not None for value in given):
        raise OperatorError(
            "--plan: give a file or the options of a plan, not both: write into the file what the "
            'options would say, such as [trial] and time = "5s" for --trial 5s'
        )
    data = disk.read_input(file, "--plan", plan.MAX_PLAN_BYTES)
    return plan.parse_plan(data, f"--plan {file}")


def _show_dry_run(found: DryRun, again: list[str], as_json: bool) -> None:
    """Shows what the rollout would do; `again` is the command without its seed."""
    command = [*again, "--seed", str(found.seed)]
    if as_json:
        print_json({"command": command} | asdict(found))
        _refuse(found)
        return
    show(table(("stage", "devices", "who"), _stage_rows(found)))
    if rows := metric_rows(found.held_out):
        say("\nOn held-out data:")
        columns = ("target", "metric", f"release {found.release}", "before")
        show(table((*columns, "difference", "95 % interval"), rows))
    show_sights(found.sees)
    _show_unfit(found.devices)
    if found.banned:
        say(f"\n[yellow]But {safe(phrases.bans(found.banned))}.[/]")
    if found.downgrade:
        say(f"\n[yellow]But {safe(found.downgrade)}.[/]")
    if found.another:
        say(f"\n[yellow]But {safe(found.another)}.[/]")
    _refuse(found)
    say(
        f"\nNothing was started. This starts it with these stages:\n\n  {safe(shlex.join(command))}"
    )


def _show_unfit(places: list[PlannedDevice]) -> None:
    if unfit := [place for place in places if place.shortfalls]:
        say("\n[yellow]These devices would reject the release:[/]")
        rows = [(place.device, place.target, "; ".join(place.shortfalls)) for place in unfit]
        show(table(("device", "target", "why"), rows))
    if unread := [place for place in places if place.unreadable]:
        say("\n[yellow]These devices cannot read the order; the rollout will wait for them:[/]")
        texts = [(place.device, place.stage + 1, "; ".join(place.unreadable)) for place in unread]
        show(table(("device", "stage", "why"), texts))
        say("Update their agents, or `modelwave device forget` those that are gone.")


def _refuse(found: DryRun) -> None:
    if found.refused:
        raise OperatorError(found.refused)


def _stage_rows(found: DryRun) -> list[tuple[str, int, str]]:
    rows = []
    for number, whom in enumerate(found.whom):
        names = [p.device for p in found.devices if number in (p.stage, p.shadow_stage)]
        more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
        who = ", ".join(names[:SHOWN_NAMES]) + more
        rows.append((f"{number + 1} ({whom})", len(names), who))
    return rows
