"""`modelwave token`: makes, lists and revokes the access tokens of people and programs."""

import time
from dataclasses import asdict
from typing import Annotated

import typer

from modelwave_controller.api import tokens as calls
from modelwave_controller.cli.doors import ask, door
from modelwave_controller.cli.options import JsonOption, duration
from modelwave_controller.people.lifetimes import DEFAULT_SECONDS, MAX_SECONDS
from modelwave_controller.people.roles import ROLES
from modelwave_controller.phrases import moment, plural, span
from modelwave_controller.results.tokens import TokenState
from modelwave_controller.terminal import print_json, safe, say, show, table

app = typer.Typer(no_args_is_help=True)


def _expiry(text: str | int) -> int:
    if text == "never":
        raise typer.BadParameter(
            "never: each token expires, so that one that was forgotten ends by itself; at most "
            f"{span(MAX_SECONDS)}"
        )
    return duration(str(text))


@app.command()
def create(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            show_default=False,
            help="Whose it is, as in the log: a person or a program.",
        ),
    ],
    role: Annotated[
        str, typer.Option(metavar="ROLE", show_default=False, help=f"{', '.join(ROLES)}.")
    ] = ...,  # type: ignore[assignment]
    expires: Annotated[
        int,
        typer.Option(
            metavar="DURATION", parser=_expiry, show_default="90d", help="At most 2 years."
        ),
    ] = DEFAULT_SECONDS,
    as_json: JsonOption = False,
) -> None:
    """Make an access token, and print it: it is shown this once.

    An operator starts and steers rollouts and approves none, an approver approves, a viewer sees,
    an admin may do all.
    """
    with door(ctx) as there:
        made = ask(there, calls.CREATE, name=name, role=role, seconds=expires)
    if as_json:
        print_json(asdict(made))
        return
    print(made.token)
    say(
        f"access token {made.id} of {safe(name)}, {safe(role)}, until {moment(made.expires_at)}: "
        f"keep it where only {safe(name)} reads it, as it is not shown again",
        stderr=True,
    )


@app.command("list")
def list_tokens(
    ctx: typer.Context,
    all_of_them: Annotated[
        bool, typer.Option("--all", help="Also those that were revoked or have expired.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the access tokens: whose they are, until when, and when each was last used."""
    now = time.time()
    with door(ctx) as there:
        found = ask(there, calls.LIST, over=all_of_them)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    if not found:
        say("there is no access token: `modelwave token create` makes one", stderr=True)
        return
    columns = ("id", "name", "role", "made by", "state", "last used")
    show(table(columns, [_row(one, now) for one in found]))


@app.command()
def revoke(
    ctx: typer.Context,
    which: Annotated[
        str,
        typer.Argument(
            metavar="NAME|ID", show_default=False, help="All tokens of a name, or the one of an id."
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Revoke access tokens: they let nobody in from the next request on."""
    with door(ctx) as there:
        ended = ask(there, calls.REVOKE, token=which)
    if as_json:
        print_json(asdict(ended))
        return
    ids = ", ".join(ended.revoked)
    say(f"revoked {plural(len(ended.revoked), 'access token')} of {safe(ended.name)}: {ids}")


def _row(token: TokenState, now: float) -> tuple[str, ...]:
    used = f"{span(now - token.last_used)} ago" if token.last_used else "never"
    return (token.id, token.name, token.role, token.made_by, _state(token, now), used)


def _state(token: TokenState, now: float) -> str:
    if token.revoked_at:
        return f"revoked {span(now - token.revoked_at)} ago"
    if token.live:
        return f"for {span(token.expires_at - now)}"
    return f"expired {span(now - token.expires_at)} ago"
