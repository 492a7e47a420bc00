"""`modelwave target add`: adds a hardware class of the operator's own."""

from pathlib import Path
from typing import Annotated

import typer

from modelwave_controller.cli.noting import note
from modelwave_controller.cli.options import JsonOption, home_of, path
from modelwave_controller.models.targets import Targets
from modelwave_controller.rollout.events import TargetAdded
from modelwave_controller.terminal import print_json, safe, say


def add(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="TOML with one [name] table.", show_default=False, parser=path
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Add a target of your own, or replace one that you added before.

    The file has one table, named like the target, with description, class (mcu or host),
    flash_bytes, ram_bytes, runtime and source; the sizes are optional for a host. For `model
    inspect` add profile (a board's firmware), firmware_flash_bytes and firmware_ram_bytes.
    """
    home = home_of(ctx)
    target = Targets(home.targets).add(file)
    note(home, TargetAdded(target=target.name))
    if as_json:
        print_json(target.model_dump(by_alias=True))
    else:
        say(f"target [bold]{safe(target.name)}[/] added; releases may name it from now on")
