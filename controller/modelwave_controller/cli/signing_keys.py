"""What the commands share that sign something shown in words: the keys, and the question."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from modelwave_controller.cli import key_options
from modelwave_controller.errors import OperatorError
from modelwave_controller.trust.keys import Signer

KeysOption = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        metavar="KEY",
        help="Key to sign with: a file, ssh-agent:KEYID or pkcs11:URI; repeatable.",
        parser=key_options.key,
    ),
]


def opened(names: Sequence[str], passphrase_file: Path | None) -> list[Signer]:
    """Opens these keys. Raises OperatorError, KeyAwayError."""
    return [key_options.opened_key(name, passphrase_file) for name in names]


def confirm(question: str, yes: bool) -> None:
    """Asks the question on the terminal, unless `yes`. Raises Abort if the answer is no,
    OperatorError if nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise OperatorError(f"--yes: there is no terminal to ask: {question} Give --yes to say so")
    typer.confirm(question, abort=True, err=True)
