"""`modelwave token`: makes, lists and revokes the access tokens of people and programs."""

import time
from typing import Annotated

import typer

from modelwave_controller.cli.options import JsonOption, actor, duration
from modelwave_controller.cli.stores import opened_store
from modelwave_controller.people import tokens
from modelwave_controller.people.roles import ROLES
from modelwave_controller.phrases import moment, plural, span
from modelwave_controller.storage import access_tokens
from modelwave_controller.storage.access_tokens import AccessToken
from modelwave_controller.terminal import print_json, safe, say, show, table

app = typer.Typer(no_args_is_help=True)


def _expiry(text: str | int) -> int:
    if text == "never":
        raise typer.BadParameter(
            "never: each token expires, so that one that was forgotten ends by itself; at most "
            f"{span(tokens.MAX_SECONDS)}"
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
    ] = tokens.DEFAULT_SECONDS,
    as_json: JsonOption = False,
) -> None:
    """Make an access token, and print it: it is shown this once.

    An operator starts and steers rollouts and approves none, an approver approves, a viewer sees,
    an admin may do all.
    """
    now = time.time()
    with opened_store(ctx) as store, store.write() as connection:
        made = tokens.make(connection, name, role, expires, now, actor())
    if as_json:
        print_json(_entry(made.token, now) | {"token": made.secret.text})
        return
    print(made.secret.text)
    say(
        f"access token {made.token.id} of {safe(name)}, {safe(role)}, until "
        f"{moment(made.token.expires_at)}: keep it where only {safe(name)} reads it, as it is not "
        "shown again",
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
    with opened_store(ctx) as store, store.read() as connection:
        found = access_tokens.every(connection)
    found = [one for one in found if all_of_them or one.live(now)]
    if as_json:
        print_json([_entry(one, now) for one in found])
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
    now = time.time()
    with opened_store(ctx) as store, store.write() as connection:
        revoked = tokens.revoke(connection, which, now, actor())
    if as_json:
        print_json({"revoked": [one.id for one in revoked]})
        return
    ids = ", ".join(one.id for one in revoked)
    say(f"revoked {plural(len(revoked), 'access token')} of {safe(revoked[0].name)}: {ids}")


def _entry(token: AccessToken, now: float) -> dict[str, object]:
    """Returns what programs get of a token; times are in Unix seconds, None: never."""
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "made_at": token.made_at,
        "made_by": token.made_by,
        "expires_at": token.expires_at,
        "last_used": token.last_used or None,
        "revoked_at": token.revoked_at or None,
        "live": token.live(now),
    }


def _row(token: AccessToken, now: float) -> tuple[str, ...]:
    used = f"{span(now - token.last_used)} ago" if token.last_used else "never"
    return (token.id, token.name, token.role, token.made_by, _state(token, now), used)


def _state(token: AccessToken, now: float) -> str:
    if token.revoked_at:
        return f"revoked {span(now - token.revoked_at)} ago"
    if token.live(now):
        return f"for {span(token.expires_at - now)}"
    return f"expired {span(now - token.expires_at)} ago"
