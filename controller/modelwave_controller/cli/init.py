"""`modelwave init`: makes the home folder of a new fleet."""

import typer

from modelwave_controller import home as homes
from modelwave_controller.cli.options import (
    JsonOption,
    PassphraseFileOption,
    asker,
    home_of,
    program_of,
)
from modelwave_controller.terminal import print_json, safe, say


def init(
    ctx: typer.Context,
    fleet: str = typer.Argument(
        metavar="FLEET", help="Name of the fleet: a-z 0-9 _ -", show_default=False
    ),
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the home folder of a new fleet: its keys, its root of trust, its settings."""
    path = home_of(ctx).path
    homes.check_new(path, fleet)
    home = homes.make_home(path, fleet, asker(passphrase_file, "the offline keys", twice=True)())
    if as_json:
        keyids = {role: held["keyids"] for role, held in home.root_document["roles"].items()}
        print_json({"home": str(home.path), "fleet": fleet, "keyids": keyids})
        return
    where, program = safe(home.path), safe(program_of(ctx))
    say(
        f"Made the home of fleet [bold]{safe(fleet)}[/] in {where}.\n"
        f"\n"
        f"Next:\n"
        f"  1. Move {where}/offline to a machine that is not the service's, and keep copies of\n"
        f"     the three root keys in different places: two of them can replace all other keys.\n"
        f"  2. Set the broker and the file address in {where}/controller.toml.\n"
        f"  3. {program} device enrol …: what each device needs\n"
        f"  4. {program} release create …, then {program} serve"
    )
