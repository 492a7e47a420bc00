"""Types of fields that several calls have."""

from typing import Annotated

from pydantic import AfterValidator, Field

MAX_REASON = 200  # characters of an operator's text


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"give one line of at most {MAX_REASON} characters")
    return text.strip()


# A text of an operator that the log keeps.
Words = Annotated[str, Field(max_length=MAX_REASON), AfterValidator(_one_line)]
