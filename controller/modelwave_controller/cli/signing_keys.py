"""Opens the keys that a command signs with."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from modelwave_controller.cli.options import asker, path
from modelwave_controller.errors import OperatorError
from modelwave_controller.trust import keys
from modelwave_controller.trust.drafts import Signer
from modelwave_controller.trust.keys import SigningKey

KeysOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--key", metavar="FILE", help="Private key to sign with; repeatable.", parser=path
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def opened(files: Sequence[Path] | None, passphrase_file: Path | None) -> list[SigningKey]:
    """Returns the private keys in these files. Raises OperatorError."""
    return [keys.load_key(file, asker(passphrase_file, str(file))) for file in files or ()]


def signers(files: Sequence[Path] | None, passphrase_file: Path | None) -> list[Signer]:
    """Returns the signers of these keys. Raises OperatorError."""
    return [Signer(key.public, key.private.sign) for key in opened(files, passphrase_file)]


def confirm(question: str, yes: bool) -> None:
    """Asks the question on the terminal, unless `yes`. Raises Abort if the answer is no,
    OperatorError if nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise OperatorError(f"--yes: there is no terminal to ask: {question} Give --yes to say so")
    typer.confirm(question, abort=True, err=True)
