"""The option --key, which names a key wherever it is: see trust/signers.py."""

from pathlib import Path
from typing import Annotated

import typer

from modelwave_controller.cli.options import asker
from modelwave_controller.terminal import safe, say
from modelwave_controller.trust import signers
from modelwave_controller.trust.keys import Signer


def key(text: str) -> str:
    """Parses a key of the command line. Refuses ""."""
    if not str(text):
        raise typer.BadParameter("empty; name a file, ssh-agent:KEYID or pkcs11:URI")
    return str(text)


ReleaseKeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="KEY",
        help="Release key: a file, ssh-agent:KEYID or pkcs11:URI; else offline/release.key of "
        "the home.",
        parser=key,
    ),
]
KeyArgument = Annotated[
    str,
    typer.Argument(
        metavar="KEY",
        help="A key file, ssh-agent:KEYID or pkcs11:URI.",
        show_default=False,
        parser=key,
    ),
]


def opened_key(text: str, passphrase_file: Path | None) -> Signer:
    """Opens a key that the command line names; asks for its passphrase or PIN, and warns of a file
    that others may read. Raises as signers.open_signer."""
    warn_if_exposed(text)
    return signers.open_signer(text, asker(passphrase_file, signers.shown(text)))


def public_of(text: str, passphrase_file: Path | None) -> bytes:
    """Returns the raw public key of a key, or of a file with a public key. Raises as
    signers.open_public."""
    warn_if_exposed(text)
    return signers.open_public(text, asker(passphrase_file, signers.shown(text)))


def warn_if_exposed(text: str) -> None:
    if signers.is_file(text) and (warning := signers.exposed(Path(text))):
        say(f"[yellow]{safe(warning)}[/]", stderr=True)
