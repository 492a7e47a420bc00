"""A call: one thing that can be asked of a controller, by whom, at which path, and what comes back.

The command line, the HTTP listener, the Python client and the OpenAPI document are made from these.
The local command line gives a call to the desk (desk/), which does it on the home; the remote one
sends it to a listener (web/), which gives it to the desk of its home. What a call says is checked
in both ways by the same model.
"""

from dataclasses import dataclass
from functools import cached_property
from string import Formatter
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from modelwave_controller.errors import OperatorError
from modelwave_controller.trust.field_types import first_problem

PREFIX = "/api/v1"
OCTETS = "application/octet-stream"  # the type of a body that is a file
GET, POST, PUT, DELETE = "GET", "POST", "PUT", "DELETE"

AskedT = TypeVar("AskedT", bound="Asked")
AnswerT = TypeVar("AnswerT")


class Asked(BaseModel):
    """What a call says. Fields that its path names stand there; the others are the query of a GET
    or a DELETE, or where a file is sent, and the JSON body of others."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@dataclass(frozen=True)
class Sent:
    """A body that is the bytes of a file, of at most `most`. `what` says which, for people.
    `bundle`: it is a release's bundle, which whoever sends it may have as a folder."""

    what: str
    most: int
    bundle: bool = False

    @property
    def copies(self) -> int:
        """How often its bytes are on the disk: those of a bundle are unpacked and then stored."""
        return 3 if self.bundle else 1


@dataclass(frozen=True)
class Call(Generic[AskedT, AnswerT]):
    """group: of calls that belong together; the modules api/GROUP.py and desk/GROUP.py have them
    name: unique; OpenAPI's operationId
    path: below PREFIX, with the names of fields in braces
    answers: the type of the answer; its JSON is the same as a command's --json
    needs: the permission of people/roles.py
    secret: the answer has a secret, which is shown once and stored nowhere
    seconds: how long who asks waits for a first byte of the answer
    sends: the body, if it is the bytes of a file; then the fields are those of the path and query
    """

    group: str
    name: str
    method: str
    path: str
    asks: type[AskedT]
    answers: Any
    needs: str
    summary: str
    secret: bool = False
    seconds: float = 60.0
    sends: Sent | None = None

    @cached_property
    def answer(self) -> TypeAdapter[AnswerT]:
        return TypeAdapter(self.answers)

    def written(self, answer: AnswerT) -> bytes:
        """Returns the answer as JSON."""
        return self.answer.dump_json(answer, by_alias=True)

    def say(self, **fields: Any) -> AskedT:
        """Returns what a call with these fields says. Raises OperatorError, which names a wrong
        one."""
        try:
            return self.asks(**fields)
        except ValidationError as error:
            raise OperatorError(first_problem(error)) from error

    @cached_property
    def in_path(self) -> tuple[str, ...]:
        """The fields that its path names."""
        return tuple(name for _, name, _, _ in Formatter().parse(self.path) if name)

    @property
    def has_body(self) -> bool:
        """Whether its fields are in a JSON body."""
        is_sent = self.method in (POST, PUT) and self.sends is None
        return is_sent and set(self.asks.model_fields) > set(self.in_path)

    @property
    def changes(self) -> bool:
        return self.method != GET
