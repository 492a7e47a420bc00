"""What the commands have in common: the home folder, --json, and the passphrase."""

import os
import sys
from collections.abc import Callable
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError

if TYPE_CHECKING:
    from modelwave_controller.home import Home

PASSPHRASE = "MODELWAVE_PASSPHRASE"
MAX_PASSPHRASE_BYTES = 1024


def path(text: str) -> Path:
    """How a path is read off the command line: Path("") would be the folder one is in."""
    if not str(text):
        raise typer.BadParameter("empty; name a file or folder")
    return Path(text)


JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
PassphraseFileOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        help=f"File with the passphrase; without it ${PASSPHRASE} or a prompt.",
        show_default=False,
        parser=path,
    ),
]


def home_of(ctx: typer.Context) -> "Home":
    """The folder that --home names."""
    from modelwave_controller.home import Home  # cryptography is slow to import

    root = ctx.find_root()
    if isinstance(root.obj, Path):
        root.obj = Home(root.obj)
    assert isinstance(root.obj, Home)
    return root.obj


def asker(file: Path | None, name: str, twice: bool = False) -> Callable[[], bytes]:
    """What asks for the passphrase of `name`: the file, else the environment, else a
    prompt, for a new one `twice`. It raises OperatorError for none and for an empty one."""

    def ask() -> bytes:
        given = _passphrase(file, name, twice)
        if not given:
            raise OperatorError(f"passphrase: empty; {name} needs one")
        return given

    return ask


def _passphrase(file: Path | None, name: str, twice: bool) -> bytes:
    if file is not None:
        return disk.read_input(file, "--passphrase-file", MAX_PASSPHRASE_BYTES).rstrip(b"\r\n")
    if PASSPHRASE in os.environ:
        return os.environb[PASSPHRASE.encode()]
    if not sys.stdin.isatty():
        raise OperatorError(
            f"passphrase: no terminal to ask for that of {name}; "
            f"set {PASSPHRASE} or give --passphrase-file"
        )
    given = getpass(f"Passphrase of {name}: ")
    if twice and getpass("The same again: ") != given:
        raise OperatorError("passphrase: the two differ; nothing was made")
    return given.encode()
