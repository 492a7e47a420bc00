"""The command `modelwave`. Each group of commands is a module of its own (commands.py).

A command raises one of modelwave_controller.errors for every expected failure; `run` prints it
as one line on stderr and returns its exit code.
"""

import functools
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

from modelwave_controller import environment, interruption
from modelwave_controller.cli import commands
from modelwave_controller.cli.options import path
from modelwave_controller.errors import ModelwaveError
from modelwave_controller.interruption import Interrupted
from modelwave_controller.terminal import discard_output, fail, prepare_streams
from modelwave_shared import checkout


def application() -> typer.Typer:
    """Builds the command line; a command's module is imported when it is used."""
    app = _without_commands()
    commands.add_later(app)
    return app


def whole_application() -> typer.Typer:
    """Builds the command line with all modules, for what looks at all of it, such as the docs."""
    app = _without_commands()
    commands.add_all(app)
    return app


def _without_commands() -> typer.Typer:
    return typer.Typer(
        name="modelwave",
        help="Ships signed models to device fleets in waves, and takes them back when they do "
        "worse.",
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        callback=_options,
    )


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"modelwave {checkout.described()}")
        raise typer.Exit


def _options(
    ctx: typer.Context,
    home: Annotated[
        Path, typer.Option(envvar="MODELWAVE_HOME", help="The operator's folder.", parser=path)
    ] = Path("modelwave-home"),
    server: Annotated[
        str,
        typer.Option(
            envvar="MODELWAVE_SERVER",
            metavar="URL",
            help="Ask the service at this address, in place of the home.",
            show_default=False,
        ),
    ] = "",
    context: Annotated[
        str,
        typer.Option(
            envvar="MODELWAVE_CONTEXT",
            metavar="NAME",
            help="Ask the service of this name (`modelwave context add`).",
            show_default=False,
        ),
    ] = "",
    _ca: Annotated[
        Path | None,
        typer.Option(
            "--ca",
            envvar="MODELWAVE_CA",
            metavar="FILE",
            help="With --server: PEM file with the authorities to trust; else those of the system.",
            show_default=False,
            parser=path,
        ),
    ] = None,
    _token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            envvar="MODELWAVE_TOKEN_FILE",
            metavar="FILE",
            help="With --server: file with the access token; else $MODELWAVE_TOKEN.",
            show_default=False,
            parser=path,
        ),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    ctx.obj = home


# The error for a bad command line: Click's class, which newer versions of Typer contain under
# another name. In all versions it is a grandparent of the class that Typer exports.
_CommandLineError: type[Exception] = typer.BadParameter.__mro__[2]

_NO_THREAD = "can't start new thread"  # Python's words: there is no class for it


@functools.cache
def _command() -> Any:
    """The command line as Click knows it: the demo runs many commands in one process."""
    return get_command(application())


def run(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit code."""
    try:
        code = _command()(list(arguments), prog_name="modelwave", standalone_mode=False)
        sys.stdout.flush()  # a reader that has ended is noticed here, and not at exit
        return code if isinstance(code, int) else 0
    except ModelwaveError as error:
        fail(str(error))
        return error.exit_code
    except _CommandLineError as error:
        # The message is empty if the help page was printed, for a command without arguments.
        if message := getattr(error, "format_message", str)():
            context = getattr(error, "ctx", None)
            message = message.replace(": Value error, ", ": ")  # Typer's own words for a choice
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
    except RuntimeError as error:
        if str(error) != _NO_THREAD:
            raise
        fail("this machine has no thread for it: end other programs, or raise the limit of them")
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
