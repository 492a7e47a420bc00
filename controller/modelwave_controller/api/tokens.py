"""The calls about access tokens."""

from functools import partial
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from modelwave_controller.api.call import GET, POST, Asked, Call
from modelwave_controller.people import token_text
from modelwave_controller.people.lifetimes import DEFAULT_SECONDS
from modelwave_controller.people.roles import ADMINISTER
from modelwave_controller.results.tokens import NewToken, RevokedTokens, TokenState
from modelwave_shared import fields
from modelwave_shared.errors import DocumentError
from modelwave_shared.limits import MAX_NAME


def _id_or_name(text: str) -> str:
    """The error has nothing of the text: it may be a token by mistake."""
    if token_text.is_id(text):
        return text
    try:
        fields.name(text, "token")
    except DocumentError:
        raise ValueError(
            "neither the id nor the name of a token; see `modelwave token list`"
        ) from None
    return text


Which = Annotated[
    str,
    AfterValidator(_id_or_name),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_NAME}),
]


class List(Asked):
    """`over`: also those that were revoked or have expired."""

    over: bool = False


class Create(Asked):
    """name: whose it is, as in the log: a person or a program
    seconds: until it expires
    """

    name: Annotated[str, Field(max_length=MAX_NAME)]
    role: Annotated[str, Field(max_length=40)]
    seconds: Annotated[int, Field(ge=0, le=10**11)] = DEFAULT_SECONDS


class Revoke(Asked):
    """`token`: its id, or the name whose tokens are all revoked."""

    token: Which


_call = partial(Call, "tokens")

LIST: Call[List, list[TokenState]] = _call(
    "listTokens",
    GET,
    "/tokens",
    List,
    list[TokenState],
    ADMINISTER,
    "Access tokens: whose they are, until when, and when each was last used.",
)
CREATE: Call[Create, NewToken] = _call(
    "createToken",
    POST,
    "/tokens",
    Create,
    NewToken,
    ADMINISTER,
    "Make an access token. It is in this answer, and nowhere else.",
    secret=True,
)
REVOKE: Call[Revoke, RevokedTokens] = _call(
    "revokeToken",
    POST,
    "/tokens/{token}/revoke",
    Revoke,
    RevokedTokens,
    ADMINISTER,
    "Let an access token, or all of a name, let nobody in from the next request on.",
)
CALLS = (LIST, CREATE, REVOKE)
