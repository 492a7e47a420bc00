"""`modelwave simulate`: plays plans on simulated fleets, and connects simulated devices to a
broker. What plays a plan needs no home and no service."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from modelwave_controller import disk, phrases
from modelwave_controller.cli.options import JsonOption, path
from modelwave_controller.cli.simulate_fleet import fleet
from modelwave_controller.errors import OperatorError
from modelwave_controller.evidence import simulated
from modelwave_controller.evidence.fleets import World
from modelwave_controller.evidence.simulated import HARMS, Outcomes, Played, Rollout
from modelwave_controller.interruption import Interrupted
from modelwave_controller.judge.devices import MAX_BEFORE_WINDOWS
from modelwave_controller.judge.proportions import wilson
from modelwave_controller.rollout.plan import MAX_PLAN_BYTES, Plan, parse_plan
from modelwave_controller.terminal import plain, print_json, safe, say, show, table

MAX_DEVICES, MAX_TARGETS, MAX_TARGET = 100_000, 64, 64
MAX_RUNS = 10_000
DEVICES_PLAYED = 50_000  # by default so many devices are played for each release, in some seconds,
LEAST_RUNS, MOST_RUNS = 20, 150  # in at least and at most so many rollouts
PROGRESS_SECONDS = 2

_LEGEND = (
    "in brackets: 95 % intervals; open then: the mean share of the fleet that is open at the end, "
    "100 % if it finishes"
)

app = typer.Typer(no_args_is_help=True)
app.command()(fleet)


@app.callback()
def _group() -> None:
    """Play a plan on simulated fleets; connect a simulated one."""


@app.command()
def judge(
    plan: Annotated[
        Path,
        typer.Argument(
            metavar="PLAN", help="TOML (docs/operations.md).", parser=path, show_default=False
        ),
    ],
    devices: Annotated[
        int | None, typer.Option(min=1, max=MAX_DEVICES, help="The size of the fleet.")
    ] = None,
    targets: Annotated[
        str | None,
        typer.Option(
            metavar="TARGET=N,…", help="In place of --devices: those of each target, a=500,b=20."
        ),
    ] = None,
    labels: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Of each device in each window.")
    ] = World({}).labels,
    accuracy: Annotated[
        float, typer.Option(min=0.1, max=0.999, help="The mean of the devices, before.")
    ] = World({}).accuracy,
    spread: Annotated[
        float, typer.Option(min=0, max=0.5, help="The standard deviation of devices.")
    ] = World({}).spread,
    before: Annotated[
        int,
        typer.Option(
            min=0, max=MAX_BEFORE_WINDOWS, help="Windows of each device before the start."
        ),
    ] = World({}).before,
    runs: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_RUNS,
            help=f"Rollouts of each release. (default {LEAST_RUNS} to {MOST_RUNS}, for some "
            "seconds)",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32, help="Equal ones give equal fleets.")] = 0,
    as_json: JsonOption = False,
) -> int:
    """Say what a plan would do to a good release, and to ones 1, 2, 5 and 10 points worse.

    Whole rollouts are simulated, and judged by the code that judges real ones. Ctrl-C ends it, and
    prints what is done.
    """
    world = World(_fleet(devices, targets), labels, accuracy, spread, before)
    data = disk.read_input(plan, "PLAN", MAX_PLAN_BYTES)
    chosen, added = simulated.with_accuracy(parse_plan(data, f"PLAN {plan}"))
    wanted = runs or _default_runs(sum(world.devices.values()))
    played: list[list[Played]] = [[] for _ in HARMS]
    code = 0
    try:
        _play(chosen, world, wanted, seed, played)
    except Interrupted as error:
        if not all(played):
            raise
        code = error.exit_code
    found = [simulated.outcomes(harm, ended) for harm, ended in zip(HARMS, played, strict=True)]
    if as_json:
        print_json(
            {
                **world._asdict(),
                "seed": seed,
                "added_gate": added,
                "complete": code == 0,
                "outcomes": [_json(one) for one in found],
            }
        )
    else:
        _print(chosen, world, added, found)
    return code


def _fleet(devices: int | None, targets: str | None) -> dict[str, int]:
    if (devices is None) == (targets is None):
        raise OperatorError(
            "--devices: give the number of devices, or --targets with those of each, but not both"
        )
    if targets is None:
        return {"": devices or 0}
    found: dict[str, int] = {}
    for part in targets.split(","):
        name, _, number = (word.strip() for word in part.partition("="))
        if not (0 < len(name) <= MAX_TARGET and number.isascii() and number.isdigit()):
            raise OperatorError(f"--targets: {plain(part[:40])!r}; give such as a=500,b=20")
        if name in found:
            raise OperatorError(f"--targets: {plain(name)} is there twice; add its devices up")
        if not 1 <= int(number[:9]) <= MAX_DEVICES or len(number) > 9:
            raise OperatorError(f"--targets: {plain(name)} must have 1 to {MAX_DEVICES} devices")
        found[name] = int(number)
    if len(found) > MAX_TARGETS or sum(found.values()) > MAX_DEVICES:
        raise OperatorError(
            f"--targets: at most {MAX_TARGETS} targets with {MAX_DEVICES} devices in all"
        )
    return found


def _default_runs(devices: int) -> int:
    return max(LEAST_RUNS, min(MOST_RUNS, DEVICES_PLAYED // devices))


def _play(plan: Plan, world: World, runs: int, seed: int, played: list[list[Played]]) -> None:
    """Adds so many rollouts of each release, one of each after the other, so that all of them are
    equally far when it is interrupted. Says on stderr how far it is."""
    screen, shown = sys.stderr.isatty(), time.monotonic()
    for number in range(runs):
        for harm, ended in zip(HARMS, played, strict=True):
            ended.append(Rollout(plan, world, harm, f"{seed} {number}").play())
            if time.monotonic() - shown >= PROGRESS_SECONDS:
                shown = time.monotonic()
                words = f"{number} of {runs} rollouts of each release"
                print(
                    f"\r{words}" if screen else words, end="" if screen else "\n", file=sys.stderr
                )
                sys.stderr.flush()
    if screen:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _json(one: Outcomes) -> dict[str, Any]:
    often = one.often and dict(zip(("stage", "windows", "runs"), one.often, strict=True))
    return {**one._asdict(), "often": often}


def _print(plan: Plan, world: World, added: str, found: Sequence[Outcomes]) -> None:
    fleet = ", ".join(
        f"{number:,} {target or phrases.plural(number, 'device').partition(' ')[2]}"
        for target, number in world.devices.items()
    )
    say(
        safe(
            f"{fleet}; accuracy {world.accuracy:g}, spread {world.spread:g}, "
            f"{phrases.plural(world.labels, 'label')} a device and window, "
            f"{phrases.plural(world.before, 'window')} before"
        )
    )
    if added:
        say(safe(f"The plan judges no accuracy: it is played as if it also named {added}"))
    fails = "FAILs, reverts" if plan.on_fail == "revert" else "FAILs, holds"
    columns = ("worse by", "rollouts", "finishes", "held", fails, "open then", "most others end in")
    show(table(columns, map(_row, found)))
    say(f"({_LEGEND})")


def _row(one: Outcomes) -> tuple[object, ...]:
    points = 100 * one.harm
    return (
        f"{points:g} point{'' if points == 1 else 's'}" if points else "nothing",
        one.runs,
        *(_share(number, one.runs) for number in (one.finished, one.held, one.failed)),
        f"{100 * one.open:.3g} %",
        _often(one),
    )


def _share(number: int, runs: int) -> str:
    low, high = wilson(number / runs, runs)
    return f"{100 * number / runs:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def _often(one: Outcomes) -> str:
    if one.often is None:
        return "–"
    stage, windows, number = one.often
    share = 100 * number / (one.runs - one.finished)
    after = phrases.plural(windows, "window")
    return f"stage {stage + 1}, after {after} ({share:.0f} % of them)"
