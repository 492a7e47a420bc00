"""The command `modelwave`. Each group of commands is a module of its own.

A command raises one of modelwave_controller.errors for every expected failure; `run` prints it
as one line on stderr and returns its exit code.
"""

import importlib
import inspect
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from modelwave_controller import environment, interruption
from modelwave_controller.cli.options import path
from modelwave_controller.errors import ModelwaveError
from modelwave_controller.interruption import Interrupted
from modelwave_controller.terminal import discard_output, fail, prepare_streams
from modelwave_shared import checkout

# The module of each command or group of commands, and the function in it; None for a group.
COMMANDS: dict[str, tuple[str, str | None]] = {
    "init": ("init", "init"),
    "key": ("key", None),
    "root": ("root", None),
    "target": ("target", None),
    "model": ("model", None),
    "golden": ("golden", None),
    "release": ("release", None),
    "rollout": ("rollout", None),
    "simulate": ("simulate", None),
    "fleet": ("fleet", None),
    "device": ("device", None),
    "ca": ("ca", None),
    "clock": ("clock", None),
    "recover": ("recover", "recover"),
    "backup": ("backup", "backup"),
    "restore": ("backup", "restore"),
    "board": ("board", None),
    "serve": ("service", "serve"),
    "broker": ("broker", None),
    "demo": ("demo", "demo"),
}


def application(command: str | None = None) -> typer.Typer:
    """Builds the command line with all commands, or with one: importing the others, which need
    a database and a web server, takes half a second."""
    app = typer.Typer(
        name="modelwave",
        help="Ships signed models to device fleets in waves, and takes them back when they do "
        "worse.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        callback=_options,
    )
    for name in COMMANDS if command is None else [command]:
        module_name, function = COMMANDS[name]
        module = importlib.import_module(f"{__name__}.{module_name}")
        if function is None:
            app.add_typer(module.app, name=name)
        else:
            app.command(name)(getattr(module, function))
    _join_lines(app)
    return app


def _join_lines(app: typer.Typer) -> None:
    """Makes each paragraph of a command's help one line: Typer breaks it at the terminal's width,
    and would else break it again where the docstring does. What is indented, such
    as a command line, stays as it is."""
    for group in app.registered_groups:
        if group.typer_instance:
            _join_lines(group.typer_instance)
    for command in app.registered_commands:
        command.help = _joined(inspect.getdoc(command.callback) or "")
    group_callback = app.registered_callback and app.registered_callback.callback
    if app.registered_callback and group_callback and group_callback.__doc__:
        app.registered_callback.help = _joined(inspect.getdoc(group_callback) or "")


def _joined(text: str) -> str:
    paragraphs = text.split("\n\n")
    return "\n\n".join(one if "\n " in f"\n{one}" else one.replace("\n", " ") for one in paragraphs)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"modelwave {checkout.described()}")
        raise typer.Exit


def _options(
    ctx: typer.Context,
    home: Annotated[
        Path, typer.Option(envvar="MODELWAVE_HOME", help="The operator's folder.", parser=path)
    ] = Path("modelwave-home"),
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    ctx.obj = home


# The error for a bad command line: Click's class, which newer versions of Typer contain under
# another name. In all versions it is a grandparent of the class that Typer exports.
_CommandLineError: type[Exception] = typer.BadParameter.__mro__[2]


def _command(arguments: Sequence[str]) -> str | None:
    """Returns the command that these arguments name, after --home; None if they name none."""
    rest = list(arguments)
    while rest and rest[0].startswith("--home"):
        del rest[: 1 if "=" in rest[0] else 2]
    return rest[0] if rest and rest[0] in COMMANDS else None


def run(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit code."""
    try:
        app = application(_command(arguments))
        interruption.loaded()
        code = app(list(arguments), prog_name="modelwave", standalone_mode=False)
        sys.stdout.flush()  # a reader that has ended is noticed here, and not at exit
        return code if isinstance(code, int) else 0
    except ModelwaveError as error:
        fail(str(error))
        return error.exit_code
    except _CommandLineError as error:
        # The message is empty if the help page was printed, for a command without arguments.
        if message := getattr(error, "format_message", str)():
            context = getattr(error, "ctx", None)
            fail(f"{message} (see `{context.command_path if context else 'modelwave'} --help`)")
        return 2
    except BrokenPipeError:  # the reader of our output has ended, such as `head`
        discard_output()
        return 1
    except OSError as error:
        fail(f"{error.filename or 'disk'}: {error.strerror or error}")
        return 1
    except typer.Abort:  # a question was answered with no
        fail("stopped; nothing was done")
        return 1
    except Interrupted as error:
        fail(interruption.message(error))
        return error.exit_code


def main() -> None:
    environment.take_secrets()
    os.umask(os.umask(0o077) | stat.S_IWOTH)  # nothing that it makes may be written by everybody
    prepare_streams()
    code = run(sys.argv[1:])
    interruption.end()
    sys.exit(code)
