"""Finds out where a command is to be done: at a home on this machine, or at a service.

The first of these that is given:

    --home, --server or --context; more than one of them is refused
    $MODELWAVE_HOME, $MODELWAVE_SERVER, $MODELWAVE_CONTEXT, in this order
    the current context (`modelwave context use`), for commands that a service can do
    ./modelwave-home

--ca and --token-file, or $MODELWAVE_CA and $MODELWAVE_TOKEN_FILE, belong to --server: a context has
its own.
"""

from dataclasses import dataclass, field
from pathlib import Path

import typer

from modelwave_controller.errors import OperatorError


@dataclass(frozen=True)
class Service:
    """`context` is "" for --server. `asked_for`: an option or the environment names it. The token
    is in `token_file`, if there is one."""

    url: str
    ca: str
    context: str
    asked_for: bool
    token: str = field(default="", repr=False)
    token_file: Path | None = None

    @property
    def said(self) -> str:
        """How it was named."""
        if not self.context:
            return f"--server {self.url}"
        return f"context {self.context}, {self.url}"


def service_of(ctx: typer.Context) -> Service | None:
    """Returns the service that is to do the command, None for a home. Raises OperatorError."""
    name, value = _given(ctx)
    if name == "server":
        ca, token_file = (_file(ctx, of) for of in ("_ca", "_token_file"))
        return Service(value, str(ca or ""), "", True, token_file=token_file)
    _require_no_files(ctx)
    if name == "home":
        return None
    from modelwave_controller.client import contexts  # who names a home needs none of it

    known = contexts.read()
    chosen = value or known.current
    if not chosen:
        return None
    one = known.get(chosen)
    token = one.token.get_secret_value()
    return Service(one.url, one.ca, chosen, name == "context", token)


def is_named(ctx: typer.Context) -> bool:
    """Returns whether the command line or the environment names a place."""
    return _given(ctx)[0] != ""


def _given(ctx: typer.Context) -> tuple[str, str]:
    """Returns the option that names the place, and its value; ("", "") for none."""
    root = ctx.find_root()
    found: dict[str, list[str]] = {"COMMANDLINE": [], "ENVIRONMENT": []}
    for name in ("home", "server", "context"):
        source = root.get_parameter_source(name)
        if source is not None and source.name in found and root.params.get(name):
            found[source.name].append(name)
    on_line = found["COMMANDLINE"]
    if len(on_line) > 1:
        raise OperatorError(f"--{on_line[0]}: give it or --{on_line[1]}, not both")
    name = [*on_line, *found["ENVIRONMENT"], ""][0]
    return name, str(root.params.get(name) or "")


def _file(ctx: typer.Context, name: str) -> Path | None:
    found: Path | None = ctx.find_root().params.get(name)
    return found


def _require_no_files(ctx: typer.Context) -> None:
    root = ctx.find_root()
    for name, option in (("_ca", "--ca"), ("_token_file", "--token-file")):
        source = root.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise OperatorError(
                f"{option}: it belongs to --server; a context has its own, and a home needs none"
            )
