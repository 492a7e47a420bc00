"""`modelwave context`: the services that commands of this user can be done at, by name."""

import os
import sys
from getpass import getpass
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import SecretStr

from modelwave_controller import disk, environment
from modelwave_controller.cli.options import JsonOption, path
from modelwave_controller.client import addresses, contexts
from modelwave_controller.client.contexts import Context
from modelwave_controller.environment import TOKEN
from modelwave_controller.errors import OperatorError
from modelwave_controller.people import token_text
from modelwave_controller.terminal import facts, print_json, safe, say, show, table
from modelwave_controller.trust.field_types import require
from modelwave_shared import fields

app = typer.Typer(no_args_is_help=True)

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", show_default=False, help="As in `modelwave context list`.")
]


@app.command()
def add(
    name: Annotated[
        str, typer.Argument(metavar="NAME", show_default=False, help="As you will call it.")
    ],
    url: Annotated[
        str, typer.Argument(metavar="URL", show_default=False, help="https://HOST of the service.")
    ],
    ca: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="PEM file with the authorities to trust; else those of the system.",
            parser=path,
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=f"File with the access token; without it ${TOKEN} or a prompt.",
            show_default=False,
            parser=path,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Add a service with your access token there, or replace the one of this name.

    The token is kept in contexts.toml under ~/.config/modelwave, which only you may read.
    """
    require(fields.name, name, "NAME")
    addresses.checked(url, "URL")
    authorities = "" if ca is None else os.path.abspath(_readable(ca))
    context = Context(url=url.rstrip("/"), ca=authorities, token=SecretStr(_token(token_file)))
    contexts.write(contexts.read().added(name, context))
    if as_json:
        print_json(_entry(name, context, contexts.read().current))
        return
    say(f"context [bold]{safe(name)}[/] added")
    say(f"`modelwave context use {safe(name)}`: all commands are done there from then on")
    say(f"`modelwave --context {safe(name)} …`: one command is")


@app.command("list")
def list_contexts(as_json: JsonOption = False) -> None:
    """List the services that you have added."""
    known = contexts.read()
    if as_json:
        print_json([_entry(*one, known.current) for one in known.contexts.items()])
        return
    if not known.contexts:
        say("there is no context: `modelwave context add NAME URL` adds one", stderr=True)
        return
    rows = [
        ("*" if name == known.current else "", name, one.url)
        for name, one in known.contexts.items()
    ]
    show(table(("", "context", "url"), rows))


@app.command("show")
def show_context(name: NameArgument, as_json: JsonOption = False) -> None:
    """Show a service: its address, its authorities, the id of your token."""
    known = contexts.read()
    found = _entry(name, known.get(name), known.current)
    if as_json:
        print_json(found)
    else:
        found["current"] = "yes" if found["current"] else "no"
        show(facts((key, value) for key, value in found.items() if value != ""))


@app.command()
def use(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", show_default=False, help="Of the context.")
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="None is current any more.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Let commands that name no other place be done at this service, from now on."""
    if none == (name is not None):
        raise OperatorError("NAME: give the name of a context, or --none")
    contexts.write(contexts.read().used(name or ""))
    if as_json:
        print_json({"current": name or ""})
    elif name:
        say(f"commands are done at context [bold]{safe(name)}[/], unless they name another place")
    else:
        say("no context is current: commands are done at the home")


@app.command()
def remove(name: NameArgument, as_json: JsonOption = False) -> None:
    """Remove a service and its token from this machine; `modelwave token revoke` ends the token."""
    contexts.write(contexts.read().without(name))
    if as_json:
        print_json({"removed": name})
    else:
        say(f"context {safe(name)} is removed; its token is still valid at the service")


def _entry(name: str, context: Context, current: str) -> dict[str, Any]:
    """Returns what is shown of it: nothing that lets anybody in."""
    token = token_text.parse(context.token.get_secret_value())
    return {
        "context": name,
        "url": context.url,
        "ca": context.ca,
        "token": token.id,
        "current": name == current,
    }


def _readable(ca: Path) -> Path:
    if not str(ca.absolute()).isprintable():
        raise OperatorError("--ca: a name with characters that are not printable: rename the file")
    with disk.open_plain(ca, "--ca"):
        return ca


def _token(file: Path | None) -> str:
    given = _given_token(file).strip()
    try:
        return token_text.parse(given).text
    except ValueError as error:
        raise OperatorError(
            f"the access token: {error}; give it as `modelwave token create` printed it"
        ) from None


def _given_token(file: Path | None) -> str:
    if file is not None:
        return disk.read_secret_text(file, "--token-file")
    secret = environment.secret(TOKEN)
    if secret is not None:
        return secret.decode(errors="replace")
    if not sys.stdin.isatty():
        raise OperatorError(
            f"the access token: there is no terminal to ask for it; set {TOKEN} or give "
            "--token-file"
        )
    return getpass("Access token: ")
