"""What is shown of access tokens."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class TokenState:
    """Times are in Unix seconds, None: never. `made_by` is the actor in the log."""

    id: str
    name: str
    role: str
    made_at: float
    made_by: str
    expires_at: float
    last_used: float | None
    revoked_at: float | None
    live: bool


@dataclass(frozen=True)
class NewToken(TokenState):
    """`token` is its text, which is shown this once."""

    token: str = field(repr=False)


@dataclass(frozen=True)
class RevokedTokens:
    """`revoked` are ids; all were of this name."""

    name: str
    revoked: list[str]
