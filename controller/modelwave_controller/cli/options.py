"""The options that commands share: the home folder, --json, and the passphrase."""

import os
import pwd
import shlex
import socket
import sys
from collections.abc import Callable, Collection
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwave_controller import disk, environment
from modelwave_controller.cli.places import service_of
from modelwave_controller.environment import PASSPHRASE
from modelwave_controller.errors import OperatorError
from modelwave_controller.phrases import MAX_REASON, seconds_of, whole_seconds_of
from modelwave_controller.phrases import duration as shown_duration

if TYPE_CHECKING:
    from modelwave_controller.home import Home


def path(text: str) -> Path:
    """Parses a path of the command line. Refuses "", which Path would take for the current
    folder."""
    if not str(text):
        raise typer.BadParameter("empty; name a file or folder")
    return Path(text)


def duration(text: str) -> int:
    """Parses a duration of the command line, to whole seconds."""
    try:
        return whole_seconds_of(str(text))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def short_duration(text: str) -> float:
    """Parses a duration of the command line, which may have a part of a second."""
    try:
        return seconds_of(str(text))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
PassphraseFileOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        help=f"File with the passphrase or PIN; without it ${PASSPHRASE} or a prompt.",
        show_default=False,
        parser=path,
    ),
]


WHICH_ROLLOUT = "Number of the rollout, or its model; digits are always a number."
RolloutArgument = Annotated[
    str, typer.Argument(metavar="ROLLOUT", show_default=False, help=WHICH_ROLLOUT)
]
NewestArgument = Annotated[
    str | None,
    typer.Argument(metavar="ROLLOUT", show_default="the newest", help=WHICH_ROLLOUT),
]
ReasonOption = Annotated[str | None, typer.Option(metavar="TEXT", help="Why; kept in the log.")]
ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", show_default=False, help="Name of the model.")
]


def home_of(ctx: typer.Context, option: str = "") -> "Home":
    """Returns the home that --home names. `option`: that for which the command needs it; "": it
    always does. Raises OperatorError if the command is for a service."""
    from modelwave_controller.home import Home  # cryptography is slow to import

    root = ctx.find_root()
    service = service_of(ctx)
    if service is not None and service.asked_for:
        command = f"{ctx.command_path} {option}".rstrip()
        raise OperatorError(
            f"{service.said}: `{command}` works on a home, where its files are: give --home there"
        )
    if isinstance(root.obj, Path):
        root.obj = Home(root.obj)
    assert isinstance(root.obj, Home)
    return root.obj


def program_of(ctx: typer.Context) -> str:
    """Returns how the next command begins: with --home, if it was given."""
    root = ctx.find_root()
    source = root.get_parameter_source("home")
    if source is None or source.name != "COMMANDLINE":
        return "modelwave"
    return f"modelwave --home {shlex.quote(str(root.params['home']))}"


def reason_of(given: str, option: str) -> str:
    """Returns the reason that the operator gave with this option or argument, without spaces around
    it, if the log may keep it. Raises OperatorError, also for a blank one."""
    if not given.strip():
        raise OperatorError(f"{option}: blank; say why in a few words, which the log keeps")
    if len(given) > MAX_REASON or not given.isprintable():
        raise OperatorError(f"{option}: one line of at most {MAX_REASON} characters")
    return given.strip()


def reason_or_none(given: str | None, option: str) -> str:
    """Returns the reason as `reason_of`, "" if the option was not given."""
    return "" if given is None else reason_of(given, option)


def command_again(ctx: typer.Context, without: Collection[str]) -> list[str]:
    """Returns the words of this command as it was given, without these parameters. Relative paths
    stay relative."""
    root = ctx.find_root()
    head = _given_words(root, ()) if root is not ctx else []
    return ["modelwave", *head, *ctx.command_path.split()[1:], *_given_words(ctx, without)]


def _given_words(ctx: Any, without: Collection[str]) -> list[str]:
    arguments: list[str] = []
    options: list[str] = []
    for parameter in ctx.command.params:
        name = parameter.name
        value = ctx.params.get(name)
        source = ctx.get_parameter_source(name)
        if name in without or source is None or source.name != "COMMANDLINE":
            continue
        is_duration = getattr(parameter, "metavar", None) == "DURATION"
        for one in value if isinstance(value, list | tuple) else [value]:
            word = shown_duration(int(one)) if is_duration else str(one)
            if parameter.param_type_name == "argument":
                arguments.append(word)
            else:
                options += [parameter.opts[0]] if one is True else [parameter.opts[0], word]
    return arguments + options


def actor() -> str:
    """Returns who runs this command, for the log: user@host. The user is that of the process, not
    what the environment says."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # as in a container that runs under a number
        user = f"uid-{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def asker(file: Path | None, name: str, twice: bool = False) -> Callable[[], bytes]:
    """Returns a function that gets the passphrase of `name`: from the file, else from the
    environment, else from a prompt, which asks `twice` for a new one. The function raises
    OperatorError if there is no passphrase or it is empty."""

    def ask() -> bytes:
        given = _passphrase(file, name, twice)
        if not given:
            raise OperatorError(f"passphrase: empty; give one for {name}")
        return given

    return ask


def _passphrase(file: Path | None, name: str, twice: bool) -> bytes:
    if file is not None:
        return disk.read_secret(file, "--passphrase-file")
    given = environment.secret(PASSPHRASE)
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise OperatorError(
            f"passphrase: there is no terminal to ask for the passphrase of {name}; "
            f"set {PASSPHRASE} or give --passphrase-file"
        )
    typed = getpass(f"Passphrase of {name}: ")
    if twice and getpass("Repeat it: ") != typed:
        raise OperatorError("passphrase: the two entries differ; nothing was made")
    return typed.encode()
