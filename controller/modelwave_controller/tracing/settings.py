"""The settings of traces."""

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from modelwave_controller.connections import is_loopback

MAX_DEVICES = 1000


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("has a control character, or another one that is not printable")
    return value


def _endpoint(value: str) -> str:
    if not value:
        return value
    parts = urlsplit(_printable(value))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path in ("", "/"):
        raise ValueError("give the whole URL, such as http://127.0.0.1:4318/v1/traces")
    if parts.username is not None or parts.password is not None:
        raise ValueError("no user or password in the URL: put a header into headers_file")
    return value


Text = Annotated[str, Field(max_length=1000), AfterValidator(_printable)]


class TracingSettings(BaseModel):
    """`endpoint` "": no traces. `headers_file` has lines NAME: VALUE, such as one with a password.
    `ca`: the authorities to trust, "": those of the system. `devices`: of how many devices of each
    order, about, the answers are shown."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    endpoint: Annotated[str, Field(max_length=1000), AfterValidator(_endpoint)] = ""
    headers_file: Text = ""
    ca: Text = ""
    devices: Annotated[int, Field(ge=0, le=MAX_DEVICES)] = 20

    @model_validator(mode="after")
    def _keeps_headers_secret(self) -> Self:
        parts = urlsplit(self.endpoint)
        if self.headers_file and parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            raise ValueError(
                "endpoint: what is in headers_file would go over the network as it is: give "
                "https://"
            )
        return self
