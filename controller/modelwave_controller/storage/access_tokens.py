"""Stores access tokens: of their secrets only hashes."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from modelwave_controller.storage.chunks import chunks
from modelwave_controller.storage.tables import access_tokens


class AccessToken(NamedTuple):
    """A row. `digest` is the SHA-256 of the secret in hex; times are in Unix seconds, 0: never."""

    id: str
    name: str
    role: str
    digest: str
    made_at: float
    made_by: str
    expires_at: float
    last_used: float = 0.0
    revoked_at: float = 0.0

    def live(self, now: float) -> bool:
        return not self.revoked_at and now < self.expires_at


def get(connection: Connection, id: str) -> AccessToken | None:
    row = connection.execute(select(access_tokens).where(access_tokens.c.id == id)).first()
    return AccessToken(*row) if row else None


def every(connection: Connection) -> list[AccessToken]:
    """Returns all tokens by name, of each name the newest first; also those that are over."""
    order = (access_tokens.c.name, access_tokens.c.made_at.desc(), access_tokens.c.id)
    return [AccessToken(*row) for row in connection.execute(select(access_tokens).order_by(*order))]


def count_live(connection: Connection, now: float) -> int:
    query = select(func.count()).where(
        access_tokens.c.revoked_at == 0, access_tokens.c.expires_at > now
    )
    return connection.scalar(query) or 0


def add(connection: Connection, token: AccessToken) -> None:
    connection.execute(insert(access_tokens).values(token._asdict()))


def revoke(connection: Connection, ids: Sequence[str], now: float) -> None:
    for chunk in chunks(ids):
        its = access_tokens.c.id.in_(chunk)
        connection.execute(update(access_tokens).where(its).values(revoked_at=now))


def note_used(connection: Connection, id: str, now: float) -> None:
    its = access_tokens.c.id == id
    connection.execute(update(access_tokens).where(its).values(last_used=now))


def forget_over(connection: Connection, now: float, keep: int) -> None:
    """Deletes the tokens that were revoked or have expired, but for the newest `keep`."""
    over = [token for token in every(connection) if not token.live(now)]
    over.sort(key=lambda token: token.made_at, reverse=True)
    for chunk in chunks([token.id for token in over[keep:]]):
        connection.execute(delete(access_tokens).where(access_tokens.c.id.in_(chunk)))
