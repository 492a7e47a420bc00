"""The command `modelwave`. Each group of commands is a module of its own.

A command raises one of modelwave_controller.errors for whatever may be expected to go
wrong; `run` makes it one line on stderr and an exit code.
"""

import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from modelwave_controller.cli import (
    demo,
    device,
    fleet,
    init,
    key,
    model,
    release,
    rollout,
    service,
    target,
)
from modelwave_controller.cli.output import fail
from modelwave_controller.errors import ModelwaveError
from modelwave_controller.home import Home

app = typer.Typer(
    name="modelwave",
    help="Ships signed models to device fleets in waves, and takes them back when they do worse.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.command("init")(init.init)
app.add_typer(key.app, name="key")
app.add_typer(target.app, name="target")
app.add_typer(model.app, name="model")
app.add_typer(release.app, name="release")
app.add_typer(rollout.app, name="rollout")
app.add_typer(fleet.app, name="fleet")
app.add_typer(device.app, name="device")
app.command("serve")(service.serve)
app.command("broker")(service.broker)
app.command("demo")(demo.demo)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"modelwave {version('modelwave')}")
        raise typer.Exit


@app.callback()
def _options(
    ctx: typer.Context,
    home: Annotated[
        Path, typer.Option(envvar="MODELWAVE_HOME", help="The operator's folder.")
    ] = Path("modelwave-home"),
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    ctx.obj = Home(home)


# What a bad command line raises: Click's class, which newer versions of Typer bring along
# under another name; in all of them it is a grandparent of the one that Typer exports.
_CommandLineError: type[Exception] = typer.BadParameter.__mro__[2]


def run(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit code."""
    try:
        code = app(list(arguments), prog_name="modelwave", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except ModelwaveError as error:
        fail(str(error))
        return error.exit_code
    except _CommandLineError as error:
        # Without a message where the help page answered a command without arguments.
        if message := getattr(error, "format_message", str)():
            fail(f"{message} (see modelwave --help)")
        return 2
    except OSError as error:
        fail(f"{error.filename or 'disk'}: {error.strerror or error}")
        return 1
    except typer.Abort:
        fail("stopped; nothing was done")
        return 1


def main() -> None:
    sys.exit(run(sys.argv[1:]))
