"""Does the calls about access tokens."""

from typing import Any

from modelwave_controller.api import tokens as calls
from modelwave_controller.desk.desk import Desk
from modelwave_controller.desk.doing import does
from modelwave_controller.people import tokens
from modelwave_controller.results.tokens import NewToken, RevokedTokens, TokenState
from modelwave_controller.storage import access_tokens
from modelwave_controller.storage.access_tokens import AccessToken


@does(calls.LIST)
def list_some(desk: Desk, asked: calls.List) -> list[TokenState]:
    now = desk.clock()
    with desk.store.read() as connection:
        found = access_tokens.every(connection)
    return [TokenState(**_state(one, now)) for one in found if asked.over or one.live(now)]


@does(calls.CREATE)
def create(desk: Desk, asked: calls.Create) -> NewToken:
    now, who = desk.clock(), desk.person.name
    with desk.store.write() as connection:
        made = tokens.make(connection, asked.name, asked.role, asked.seconds, now, who)
    return NewToken(**_state(made.token, now), token=made.secret.text)


@does(calls.REVOKE)
def revoke(desk: Desk, asked: calls.Revoke) -> RevokedTokens:
    with desk.store.write() as connection:
        ended = tokens.revoke(connection, asked.token, desk.clock(), desk.person.name)
    return RevokedTokens(ended[0].name, [one.id for one in ended])


def _state(token: AccessToken, now: float) -> dict[str, Any]:
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
