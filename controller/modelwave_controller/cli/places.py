"""Finds out where a command is to be done: at a home on this machine, or at a service.

The first of these that is given:

    --home, --server or --context; more than one of them is refused
    $MODELWAVE_HOME, $MODELWAVE_SERVER, $MODELWAVE_CONTEXT, in this order
    the current context (`modelwave context use`), for commands that a service can do
    ./modelwave-home
"""

from dataclasses import dataclass, field

import typer

from modelwave_controller.errors import OperatorError


@dataclass(frozen=True)
class Service:
    """`context` is "" for --server. `asked_for`: an option or the environment names it."""

    url: str
    token: str = field(repr=False)
    ca: str
    context: str
    asked_for: bool

    @property
    def said(self) -> str:
        """How it was named."""
        if not self.context:
            return f"--server {self.url}"
        return f"context {self.context}, {self.url}"


def service_of(ctx: typer.Context) -> Service | None:
    """Returns the service that is to do the command, None for a home. Raises OperatorError."""
    name, value = _given(ctx)
    if name == "home":
        return None
    if name == "server":
        return Service(value, "", "", "", True)
    from modelwave_controller.client import contexts  # who names a home needs none of it

    known = contexts.read()
    chosen = value or known.current
    if not chosen:
        return None
    one = known.get(chosen)
    return Service(one.url, one.token.get_secret_value(), one.ca, chosen, name == "context")


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
