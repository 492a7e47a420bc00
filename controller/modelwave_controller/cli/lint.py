"""`modelwave rollout lint`: checks a plan in a file, and says what it will do."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from modelwave_controller import disk
from modelwave_controller.api import starts as calls
from modelwave_controller.cli import places
from modelwave_controller.cli.doors import ask, files_door
from modelwave_controller.cli.options import JsonOption, path
from modelwave_controller.operations import linted
from modelwave_controller.rollout import plan
from modelwave_controller.terminal import print_json, safe, say


def lint(
    ctx: typer.Context,
    plan_file: Annotated[
        Path,
        typer.Option("--plan", help="TOML (docs/operations.md).", parser=path, show_default=False),
    ],
    as_json: JsonOption = False,
) -> None:
    """Check a plan, and print what is judged at each of its stages, and when.

    With --home, --server or --context also what the fleet's settings ask of it.
    """
    data = disk.read_input(plan_file, "--plan", plan.MAX_PLAN_BYTES)
    read = plan.parse_plan(data, f"--plan {plan_file}")
    if places.is_named(ctx):
        with files_door(ctx) as there:
            found = ask(there, calls.LINT, plan=read)
    else:
        found = linted.linted(read)
    if as_json:
        print_json([asdict(stage) for stage in found])
        return
    for line in linted.lines(found):
        say(safe(line))
