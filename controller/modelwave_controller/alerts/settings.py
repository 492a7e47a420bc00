"""The settings of an alert: which events it tells, and how it is brought."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from modelwave_controller.connections import is_loopback
from modelwave_controller.trust.field_types import Name

MAX_ALERTS = 16
MAX_URL = 1000


def _line(value: str) -> str:
    if not value.isprintable():
        raise ValueError("has a control character, or another one that is not printable")
    return value


def _webhook_url(value: str) -> str:
    """The messages do not have the URL: the path of many a webhook is its secret."""
    if not value:
        return value
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("give printable ASCII characters, without spaces")
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("give https://HOST, with :PORT and a path where needed")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("no user, password or fragment in the URL: what is sent is signed instead")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("give https://; http:// is for programs on this machine (127.0.0.1)")
    return value


Line = Annotated[str, Field(max_length=1000), AfterValidator(_line)]
On = Literal["held", "gate_failed", "reverted", "finished", "approval_wanted", "in_trouble"]


class AlertSettings(BaseModel):
    """`on`: what it tells. `url` or `command`: how. `secret_file` holds what webhooks are signed
    with. `seconds`: that one try may take. `per_minute`: how many messages are sent at most; what
    comes beyond that is told in one."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    name: Name
    on: Annotated[list[On], Field(min_length=1, max_length=6)]
    url: Annotated[str, Field(max_length=MAX_URL, repr=False), AfterValidator(_webhook_url)] = ""
    secret_file: Line = ""
    command: Annotated[list[Line], Field(max_length=50)] = []
    seconds: Annotated[int, Field(ge=1, le=300)] = 20
    per_minute: Annotated[int, Field(ge=1, le=60)] = 6

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.url) == bool(self.command):
            raise ValueError("url or command: give one of the two")
        if self.url and not self.secret_file:
            raise ValueError(
                "secret_file: give a file with the secret that the webhook is signed with"
            )
        if self.command and self.secret_file:
            raise ValueError("secret_file: a command is not signed; leave it out")
        if self.command and not self.command[0]:
            raise ValueError("command: the first entry is the program; give its name")
        return self

    @property
    def way(self) -> str:
        """Says how it is brought, without what may be secret: paths and arguments."""
        if self.command:
            return f"command {self.command[0]}"
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


def require_unique(alerts: list[AlertSettings]) -> list[AlertSettings]:
    """Raises ValueError if two have one name."""
    if twice := _twice([alert.name for alert in alerts]):
        raise ValueError(f"two are called {twice}; give each a name of its own")
    return alerts


def _twice(names: Sequence[str]) -> str:
    return next((name for number, name in enumerate(names) if name in names[:number]), "")


Alerts = Annotated[
    list[AlertSettings], Field(max_length=MAX_ALERTS), AfterValidator(require_unique)
]
