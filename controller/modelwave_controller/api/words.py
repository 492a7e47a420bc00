"""Types of fields that several calls have."""

from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from modelwave_controller.phrases import MAX_REASON
from modelwave_controller.trust.field_types import Name


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"give one line of at most {MAX_REASON} characters")
    return text.strip()


# A text of an operator that the log keeps.
Words = Annotated[str, Field(max_length=MAX_REASON), AfterValidator(_one_line)]


# What errors call a file that is sent.
NameOfFile = Annotated[str, Field(max_length=4096)]

# The name of a model, target, tag or device.
NameOf = Annotated[
    Name, WithJsonSchema({"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$"})
]
