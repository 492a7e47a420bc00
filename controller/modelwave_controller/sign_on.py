"""What those may do who signed on at a reverse proxy: the settings under [api.sign_on]. Pure.

    who                                          has the role
    named under [api.sign_on.users]              that stands there
    else in a group under [api.sign_on.groups]   of the first line whose group they are in
    else                                         `others`, if it is set
    else                                         none, and is not let in

A name is compared in small letters, so that nobody is two people by another spelling.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

# The header by which a proxy shows that it is the one, and not another program of its machine.
SECRET_HEADER = "X-Modelwave-Secret"
MAX_NAMED = 1000
MAX_NAME = 100
NAME = f"1 to {MAX_NAME} letters, digits and . _ - + @, with a letter or digit first"

_NAME = re.compile(rf"[a-z0-9][a-z0-9._+@-]{{0,{MAX_NAME - 1}}}", re.ASCII)
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,59}", re.ASCII)
_SPACE = " \t"  # of HTTP; others may be part of a name
_OTHERS_USE = ("authorization", "cookie", "host", "origin", SECRET_HEADER.lower())

Role = Literal["viewer", "operator", "approver", "admin"]


def name_of(text: str) -> str:
    """Returns the name in its one spelling, "" if it is none. Other letters become none of ours:
    the Kelvin sign in small letters is a k."""
    found = text.strip(_SPACE).lower() if text.isascii() else ""
    return found if _NAME.fullmatch(found) else ""


def _header(value: str) -> str:
    if not _HEADER.fullmatch(value) or value.lower() in _OTHERS_USE:
        raise ValueError('give the name of a header of its own, such as "X-Forwarded-User"')
    return value


def _header_or_none(value: str) -> str:
    return _header(value) if value else ""


def _users(given: dict[str, Role]) -> dict[str, Role]:
    found = {name_of(name): role for name, role in given.items()}
    if "" in found or len(found) != len(given):
        raise ValueError(f"name each once, by {NAME}")
    return found


def _log_out(value: str) -> str:
    if value and not re.fullmatch(r"(https://[^/\s]+)?/[\x21-\x7e]*", value, re.ASCII):
        raise ValueError('give a path or an https:// URL, such as "/oauth2/sign_out"')
    if value.startswith("//"):
        raise ValueError("begin a path with one slash")
    return value


class SignOn(BaseModel):
    """`user_header`, `groups_header`: in which the proxy says who it has let in, and their groups,
    with commas between. `secret_file`: what it sends in SECRET_HEADER. `others`: the role of who is
    neither in `users` nor in `groups`. `log_out`: where the proxy ends what it began."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    user_header: Annotated[str, AfterValidator(_header)] = "X-Forwarded-User"
    groups_header: Annotated[str, AfterValidator(_header_or_none)] = ""
    secret_file: Annotated[str, Field(min_length=1, max_length=1000)]
    users: Annotated[dict[str, Role], Field(max_length=MAX_NAMED), AfterValidator(_users)] = {}
    groups: Annotated[dict[str, Role], Field(max_length=MAX_NAMED)] = {}
    others: Role | None = None
    log_out: Annotated[str, Field(max_length=300), AfterValidator(_log_out)] = ""

    @model_validator(mode="after")
    def _lets_somebody_in(self) -> Self:
        if self.groups and not self.groups_header:
            raise ValueError("groups: say in groups_header where the proxy names them")
        if not (self.users or self.groups or self.others):
            raise ValueError("users, groups or others: give somebody a role, else nobody has one")
        return self

    def role_of(self, name: str, groups: str) -> str:
        """Returns the role of who has this name, in its one spelling, and is in these groups; "":
        none."""
        if name in self.users:
            return self.users[name]
        theirs = {group.strip(_SPACE) for group in groups.split(",")}
        return next(
            (role for group, role in self.groups.items() if group in theirs), self.others or ""
        )
