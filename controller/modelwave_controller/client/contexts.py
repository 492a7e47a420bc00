"""Contexts: services by name, each with the access token to use there.

They are in $XDG_CONFIG_HOME/modelwave/contexts.toml, else in ~/.config/modelwave, which only its
owner may read:

    current = "prod"
    [contexts.prod]
    url = "https://fleet.example/modelwave"
    ca = "/etc/ssl/fleet.pem"
    token = "mw_…"
"""

import json
import os
import stat
import tomllib
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from modelwave_controller import disk
from modelwave_controller.errors import NotFoundError, OperatorError, StorageError
from modelwave_controller.trust.field_types import Name, first_problem

MAX_BYTES = 1 << 18
MAX_CONTEXTS = 200


class Context(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[str, Field(min_length=1, max_length=2000)]
    ca: Annotated[str, Field(max_length=4096)] = ""
    token: SecretStr


class Contexts(BaseModel):
    """`current`: that of commands that name no other place; "": none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    current: str = ""
    contexts: Annotated[dict[Name, Context], Field(max_length=MAX_CONTEXTS)] = {}

    @model_validator(mode="after")
    def _current_is_one(self) -> Self:
        if self.current and self.current not in self.contexts:
            raise ValueError("current: no such context")
        return self

    def get(self, name: str) -> Context:
        """Raises NotFoundError."""
        if name not in self.contexts:
            known = ", ".join(self.contexts) or "none"
            raise NotFoundError(
                f"no context {name[:64]!r}: there is {known}; `modelwave context add` adds one"
            )
        return self.contexts[name]

    def added(self, name: str, context: Context) -> "Contexts":
        return self._with(self.current, self.contexts | {name: context})

    def used(self, name: str) -> "Contexts":
        """`name` "": none is current any more."""
        if name:
            self.get(name)
        return self._with(name, self.contexts)

    def without(self, name: str) -> "Contexts":
        self.get(name)
        rest = {one: context for one, context in self.contexts.items() if one != name}
        return self._with("" if self.current == name else self.current, rest)

    def _with(self, current: str, contexts: dict[str, Context]) -> "Contexts":
        try:
            return Contexts(current=current, contexts=contexts)
        except ValidationError as error:
            raise OperatorError(f"contexts: {first_problem(error)}") from error


def file() -> Path:
    given = os.environ.get("XDG_CONFIG_HOME", "")
    folder = Path(given) if given.startswith("/") else Path.home() / ".config"
    return folder / "modelwave" / "contexts.toml"


def read() -> Contexts:
    """Raises OperatorError, also for a file that others may read."""
    path = file()
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return Contexts()
    except OSError as error:
        raise OperatorError(f"{path}: {error.strerror or error}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise OperatorError(f"{path}: others may read its tokens: `chmod 600 {path}`")
    data = disk.read_input(path, "contexts", MAX_BYTES)
    try:
        return Contexts.model_validate(tomllib.loads(data.decode()))
    except ValidationError as error:
        raise OperatorError(f"{path}: {first_problem(error)}") from None  # its text has tokens
    except (ValueError, RecursionError):
        raise OperatorError(f"{path}: not TOML, or not UTF-8: mend or remove it") from None


def write(contexts: Contexts) -> None:
    """Replaces the file. Raises StorageError."""
    lines = [f"current = {_text(contexts.current)}"]
    for name, one in contexts.contexts.items():
        token = one.token.get_secret_value()
        pairs = (("url", one.url), ("ca", one.ca), ("token", token))
        lines += ["", f"[contexts.{name}]", *(f"{key} = {_text(value)}" for key, value in pairs)]
    path = file()
    try:
        disk.private_folder(path.parent)
        disk.replace(path, ("\n".join(lines) + "\n").encode(), 0o600)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from error


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)  # of printable texts, which TOML has the same way
