"""`modelwave rollout`: waves, from the first canary to everyone or back."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from rich.live import Live

from modelwave_controller import log, plan, preview, rollouts, state, status
from modelwave_controller.cli import view
from modelwave_controller.cli.options import JsonOption, home_of
from modelwave_controller.cli.output import console, print_json, say, show, table
from modelwave_controller.cli.stores import opened_store
from modelwave_controller.errors import OperatorError
from modelwave_controller.events import Created
from modelwave_controller.plan import Plan, Stage
from modelwave_controller.releases import Releases
from modelwave_controller.rollouts import Request
from modelwave_controller.store import Store

app = typer.Typer(no_args_is_help=True, help="Waves: start them, watch them, take them back.")

RolloutArgument = Annotated[
    str, typer.Argument(show_default=False, help="Number of the rollout, or its model.")
]
NewestArgument = Annotated[
    str, typer.Argument(show_default="the newest", help="Number of the rollout, or its model.")
]
ReasonOption = Annotated[str, typer.Option(metavar="TEXT", help="Why; kept in the log.")]
MAX_REASON = 200
SHOWN_NAMES = 12


def _of_stage(field: str, help: str) -> Any:
    """An option that sets a field of every stage."""
    unit = field.rpartition("_")[2].upper()
    return typer.Option(metavar=unit, help=f"{help} {_default(Stage, field)}")


def _default(model: type[BaseModel], field: str) -> str:
    return f"(default {model.model_fields[field].default})".replace(".0)", ")")


@app.command()
def start(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(show_default=False, help="Name of the model.")],
    release: Annotated[str, typer.Argument(show_default=False, help="Its number or version.")],
    target: Annotated[
        list[str] | None, typer.Option(help="Only these; else all that the release is for.")
    ] = None,
    plan_file: Annotated[
        Path | None, typer.Option("--plan", help="TOML; instead of the options below.")
    ] = None,
    stages: Annotated[
        str | None,
        typer.Option(
            metavar="PERCENTS",
            help=f"(default {','.join(f'{percent:g}' for percent in plan.DEFAULT_PERCENTS)})",
        ),
    ] = None,
    soak: Annotated[
        int | None, _of_stage("soak_seconds", "At least, before the next opens.")
    ] = None,
    deadline: Annotated[
        int | None, _of_stage("deadline_seconds", "Then who is silent is silent.")
    ] = None,
    max_rolled_back: Annotated[
        float | None, _of_stage("max_rolled_back_percent", "More is a FAIL.")
    ] = None,
    max_failed: Annotated[float | None, _of_stage("max_failed_percent", "More holds it.")] = None,
    max_rejected: Annotated[
        float | None, _of_stage("max_rejected_percent", "More holds it.")
    ] = None,
    max_silent: Annotated[float | None, _of_stage("max_silent_percent", "More holds it.")] = None,
    min_succeeded: Annotated[
        float | None, _of_stage("min_succeeded_percent", "Fewer hold it.")
    ] = None,
    trial_seconds: Annotated[
        int | None,
        typer.Option(
            metavar="SECONDS",
            help=f"Before a device confirms. (default {plan.DEFAULT_TRIAL_SECONDS})",
        ),
    ] = None,
    trial_inferences: Annotated[
        int | None, typer.Option(metavar="COUNT", help="As many must have run by then. (default 0)")
    ] = None,
    on_fail: Annotated[
        str | None, typer.Option(help=f"revert or hold. {_default(Plan, 'on_fail')}")
    ] = None,
    expires: Annotated[
        int | None,
        typer.Option(metavar="SECONDS", help=f"Of its orders. {_default(Plan, 'expires_seconds')}"),
    ] = None,
    start_slot: Annotated[
        int | None, typer.Option(help="Where the first stage begins, 0 to 999; else at random.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print who would be in which stage.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring a release to the fleet, stage by stage, each opened by the gate of the last."""
    stage: dict[str, float | None] = {
        "soak_seconds": soak,
        "deadline_seconds": deadline,
        "max_rolled_back_percent": max_rolled_back,
        "max_failed_percent": max_failed,
        "max_rejected_percent": max_rejected,
        "max_silent_percent": max_silent,
        "min_succeeded_percent": min_succeeded,
    }
    trial = {"seconds": trial_seconds, "inferences": trial_inferences}
    rest = {"on_fail": on_fail, "expires_seconds": expires}
    home = home_of(ctx)
    found = Releases(home).find(model, release)
    chosen = _plan(plan_file, stages, stage, trial, rest)
    request = Request(model, found, target or (), chosen, start_slot)
    with opened_store(ctx) as store:
        if dry_run:
            _dry_run(store, request, as_json)
            return
        number = rollouts.start(store, request, time.time())
        _show_heading(store, number, as_json)


@app.command("status")
def show_status(
    ctx: typer.Context, rollout: NewestArgument = "", as_json: JsonOption = False
) -> None:
    """Show one status word, why, what happens next, and a row for each stage."""
    with opened_store(ctx) as store:
        found = _read(store, rollout)
    if as_json:
        print_json(found.json())
    else:
        show(view.rollout(found))


@app.command("list")
def list_rollouts(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """List all rollouts, the newest last."""
    with opened_store(ctx) as store, store.read() as connection:
        known = log.state(connection, reports_of=[]).rollouts.values()
    entries: list[dict[str, Any]] = [
        {
            "rollout": r.id,
            "model": r.model,
            "release": next(iter(r.created.releases.values())).release,
            "targets": sorted(r.created.releases),
            "status": r.status,
            "stages": f"{len(r.stages)}/{len(r.created.plan.stages)}",
            "reason": r.reason,
        }
        for r in known
    ]
    if as_json:
        print_json(entries)
        return
    columns = ("rollout", "model", "release", "targets", "status", "stages", "reason")
    rows = [[e[c] if c != "targets" else ", ".join(e[c]) for c in columns] for e in entries]
    show(table(columns, rows))


@app.command()
def watch(
    ctx: typer.Context,
    rollout: NewestArgument = "",
    interval: Annotated[float, typer.Option(min=0.05, max=60, help="Seconds.")] = 0.5,
    as_json: JsonOption = False,
) -> int:
    """Follow a rollout until it is over: exit code 0 if it finished, 1 if it was taken back
    or aborted. Ctrl-C leaves; the rollout goes on."""
    with opened_store(ctx) as store:
        with store.read() as connection:
            reader = status.Reader(connection, rollout)

        def read() -> status.Status:
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
    """Open no further stage. Devices that have their order go on; a FAIL still reverts."""
    _do(ctx, rollouts.pause, rollout, _reason(reason, "paused by the operator"), as_json)


@app.command()
def resume(
    ctx: typer.Context,
    rollout: RolloutArgument,
    accept: Annotated[
        str, typer.Option(metavar="REASON", help="Overrule the gate that holds it.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Go on after a pause; after a hold wait for its devices anew, or overrule its gate."""
    _do(ctx, rollouts.resume, rollout, _text(accept, "--accept"), as_json)


@app.command()
def abort(
    ctx: typer.Context,
    rollout: RolloutArgument,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Stop it and leave everything as it is: the slots that were opened keep the new release,
    also for devices that join later; all others keep the old one."""
    _do(ctx, rollouts.abort, rollout, _reason(reason, "aborted by the operator"), as_json)


@app.command()
def revert(
    ctx: typer.Context,
    rollout: RolloutArgument,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take a release back, also one that was rolled out long ago: every slot that is ordered
    to run it is ordered back to the one before."""
    _do(ctx, rollouts.revert, rollout, _reason(reason, "reverted by the operator"), as_json)


def _plan(
    file: Path | None,
    percents: str | None,
    stage: dict[str, float | None],
    trial: dict[str, int | None],
    rest: dict[str, Any],
) -> Plan:
    if file is None:
        return plan.from_options(percents, stage, trial, rest)
    given = [percents, *stage.values(), *trial.values(), *rest.values()]
    if any(value is not None for value in given):
        raise OperatorError("--plan: give a file or the options of a plan, not both")
    return plan.read(file)


def _dry_run(store: Store, request: Request, as_json: bool) -> None:
    with store.read() as connection:
        created = rollouts.propose(connection, request)
        places = preview.preview(connection, created, request.releases)
    unfit = [place for place in places if place.shortfalls]
    if as_json:
        print_json(
            {
                "start_slot": created.start_slot,
                "plan": created.plan.model_dump(),
                "devices": [asdict(place) for place in places],
            }
        )
        return
    show(table(("stage", "devices", "who"), _stage_rows(created, places)))
    if unfit:
        say("\n[yellow]These would reject it:[/]")
        show(
            table(
                ("device", "target", "why"),
                [(place.device, place.target, "; ".join(place.shortfalls)) for place in unfit],
            )
        )
    say(
        f"\nNothing was started. With --start-slot {created.start_slot} the stages are these; "
        "without, each rollout starts at another slot."
    )


def _stage_rows(created: Created, places: list[preview.Place]) -> list[tuple[str, int, str]]:
    rows = []
    for number, stage in enumerate(created.plan.stages):
        names = [place.device for place in places if place.stage == number]
        more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
        who = ", ".join(names[:SHOWN_NAMES]) + more
        rows.append((f"{number + 1} ({stage.percent:g} %)", len(names), who))
    return rows


def _read(store: Store, rollout: str) -> status.Status:
    with store.read() as connection:
        return status.Reader(connection, rollout).read(connection, time.time())


def _show_heading(store: Store, number: int, as_json: bool) -> None:
    found = _read(store, str(number))
    if as_json:
        print_json(found.json())
    else:
        show(view.heading(found))


def _do(
    ctx: typer.Context,
    act: Callable[[Store, str, str, float], int],
    rollout: str,
    words: str,
    as_json: bool,
) -> None:
    with opened_store(ctx) as store:
        _show_heading(store, act(store, rollout, words, time.time()), as_json)


def _reason(given: str, what: str) -> str:
    return f"{what}: {_text(given, '--reason')}" if given else what


def _text(given: str, option: str) -> str:
    """An operator's words, as the log keeps them."""
    if len(given) > MAX_REASON or not given.isprintable():
        raise OperatorError(f"{option}: one line of at most {MAX_REASON} characters")
    return given


def _follow(read: Callable[[], status.Status], interval: float, as_json: bool) -> status.Status:
    """Draws what `read` gives until that is final. Where it is no terminal that can be drawn
    over, prints it anew when something has changed."""
    screen = console()
    if as_json or not screen.is_terminal:
        draw = _print_json_line if as_json else _print_heading
        return _until_final(read, interval, draw)
    with Live(console=screen, auto_refresh=False) as live:
        return _until_final(
            read, interval, lambda found: live.update(view.rollout(found), refresh=True)
        )


def _until_final(
    read: Callable[[], status.Status], interval: float, draw: Callable[[status.Status], None]
) -> status.Status:
    drawn = None
    while True:
        found = read()
        # A countdown alone is not worth another print, but a screen is drawn over anyway.
        changed = replace(found, next="")
        if changed != drawn or console().is_terminal:
            draw(found)
            drawn = changed
        if found.final:
            return found
        time.sleep(interval)


def _print_json_line(found: status.Status) -> None:
    print(json.dumps(found.json()), flush=True)


def _print_heading(found: status.Status) -> None:
    show(view.rollout(found))
