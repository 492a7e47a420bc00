"""Makes, verifies and revokes access tokens. They are shown once; the database has hashes.

A token belongs to a name and has a role. The name is that of a person or a program, and is the
actor in the log. It may have several tokens at once, so that one can be changed for another without
a gap. Every token expires, after 2 years at most.

`connection` is from Store.write() where something is changed, `now` in Unix seconds, and `actor`
names in the log who did it.
"""

import hmac
from typing import NamedTuple

from sqlalchemy import Connection

from modelwave_controller.errors import OperatorError, UnknownPersonError
from modelwave_controller.people import token_text
from modelwave_controller.people.lifetimes import LEAST_SECONDS, MAX_SECONDS
from modelwave_controller.people.roles import PERMISSIONS, ROLES, Person
from modelwave_controller.phrases import span
from modelwave_controller.rollout.events import FLEET, LOCAL, TokenMade, TokenRevoked, by
from modelwave_controller.rollout.lines import DEVICE, OPERATOR, SERVICE
from modelwave_controller.storage import access_tokens, log
from modelwave_controller.storage.access_tokens import AccessToken
from modelwave_controller.trust.field_types import require
from modelwave_shared import fields
from modelwave_shared.errors import DocumentError

MAX_LIVE = 1000
KEPT_OVER = 1000  # tokens that were revoked or have expired, for the list
# Actors in the log that are no person's name.
RESERVED = (LOCAL, SERVICE, DEVICE, OPERATOR)
RESTORED = "the database was restored, and does not know what was revoked since"
REFUSED = (
    "the access token is wrong, has expired or was revoked: an admin makes one with "
    "`modelwave token create`"
)
_NO_DIGEST = "0" * 64


class Made(NamedTuple):
    """A new token: `secret` has its text, which is nowhere else."""

    token: AccessToken
    secret: token_text.TokenText


def verify(connection: Connection, text: str, now: float) -> Person:
    """Returns whose token this is. It only reads, so that a service that does not lead can do it;
    `uses.Uses` notes the use. Raises UnknownPersonError, whose message is the same for all reasons,
    so that it tells a thief nothing."""
    try:
        given = token_text.parse(text)
    except ValueError as error:
        raise _refused(str(error)) from None
    stored = access_tokens.get(connection, given.id)
    is_its = hmac.compare_digest(stored.digest if stored else _NO_DIGEST, given.digest)
    if stored is None:
        raise _refused(f"there is no token {given.id}")
    named = f"token {stored.id} of {stored.name}"
    if not is_its:
        raise _refused(f"{named}: its secret is wrong")
    if stored.revoked_at:
        raise _refused(f"{named} was revoked")
    if not now < stored.expires_at:
        raise _refused(f"{named} has expired")
    if stored.role not in PERMISSIONS:
        raise UnknownPersonError(
            REFUSED, f"{named}: a newer modelwave made it, with an unknown role"
        )
    return Person(stored.name, stored.role)


def _refused(reason: str) -> UnknownPersonError:
    return UnknownPersonError(REFUSED, reason)


def make(
    connection: Connection, name: str, role: str, seconds: float, now: float, actor: str
) -> Made:
    """Makes a token that expires after `seconds`. Raises OperatorError."""
    require(fields.name, name, "NAME")
    if name in RESERVED:
        raise OperatorError(f"NAME: {name!r} means something else in the log; give another name")
    if role not in ROLES:
        raise OperatorError(f"--role: {role[:40]!r} is none; give one of {', '.join(ROLES)}")
    if not LEAST_SECONDS <= seconds <= MAX_SECONDS:
        raise OperatorError(
            f"--expires: {span(seconds)}; give {span(LEAST_SECONDS)} to {span(MAX_SECONDS)}"
        )
    return draw(connection, name, role, seconds, now, actor)


def draw(
    connection: Connection, name: str, role: str, seconds: float, now: float, actor: str
) -> Made:
    """Makes a token of a name and role that were checked."""
    if access_tokens.count_live(connection, now) >= MAX_LIVE:
        raise OperatorError(
            f"there are {MAX_LIVE:,} access tokens: `modelwave token revoke` those that nobody "
            "uses; `modelwave token list` says when each was used"
        )
    access_tokens.forget_over(connection, now, KEPT_OVER)
    secret = token_text.draw()
    while access_tokens.get(connection, secret.id):
        secret = token_text.draw()
    token = AccessToken(secret.id, name, role, secret.digest, now, actor, now + seconds)
    access_tokens.add(connection, token)
    act = TokenMade(token=token.id, name=name, role=role, expires_at=token.expires_at)
    log.append(connection, FLEET, now, [by(actor, act)])
    return Made(token, secret)


def revoke(
    connection: Connection, which: str, now: float, actor: str, reason: str = ""
) -> list[AccessToken]:
    """Revokes the token with this id, or all of this name; returns them. It holds from the next
    request on. Raises OperatorError if there is none to revoke."""
    found = [one for one in access_tokens.every(connection) if which in (one.id, one.name)]
    live = [one for one in found if one.live(now)]
    if live:
        end(connection, live, now, actor, reason)
        return live
    if found:
        raise OperatorError(f"{_shown(which)}: it was revoked or has expired already")
    raise OperatorError(
        f"NAME|ID: no access token has the id or name {_shown(which)}; see `modelwave token list`"
    )


def _shown(which: str) -> str:
    """Returns the id or name; nothing of what may be a token by mistake."""
    if token_text.is_id(which):
        return which
    try:
        fields.name(which, "NAME|ID")
    except DocumentError:
        return "that you gave"
    return which


def revoke_all(connection: Connection, now: float, actor: str, reason: str) -> int:
    """Revokes every token, and returns how many there were."""
    live = [one for one in access_tokens.every(connection) if one.live(now)]
    end(connection, live, now, actor, reason)
    return len(live)


def end(
    connection: Connection, live: list[AccessToken], now: float, actor: str, reason: str
) -> None:
    """Revokes these tokens."""
    access_tokens.revoke(connection, [one.id for one in live], now)
    acts = [by(actor, TokenRevoked(token=one.id, name=one.name, reason=reason)) for one in live]
    log.append(connection, FLEET, now, acts)


def those_who_may(connection: Connection, permission: str, now: float) -> list[str]:
    """Returns the names that have a live token with which this may be done."""
    live = [one for one in access_tokens.every(connection) if one.live(now)]
    return sorted({one.name for one in live if Person(one.name, one.role).may(permission)})
