"""`modelwave rollout lint`: checks a plan in a file, and says what it will do."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from modelwave_controller import disk
from modelwave_controller.cli.options import JsonOption, path
from modelwave_controller.operations import linted
from modelwave_controller.rollout import plan
from modelwave_controller.terminal import print_json, safe, say


def lint(
    plan_file: Annotated[
        Path,
        typer.Option("--plan", help="TOML (docs/operations.md).", parser=path, show_default=False),
    ],
    as_json: JsonOption = False,
) -> None:
    """Check a plan, and print what is judged at each of its stages, and when."""
    data = disk.read_input(plan_file, "--plan", plan.MAX_PLAN_BYTES)
    found = linted.linted(plan.parse_plan(data, f"--plan {plan_file}"))
    if as_json:
        print_json([asdict(stage) for stage in found])
        return
    for line in linted.lines(found):
        say(safe(line))
