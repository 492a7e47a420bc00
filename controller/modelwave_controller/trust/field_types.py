"""Pydantic types for settings and plans that accept the same values as the field of a document:
each calls the rule of modelwave_shared."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError

from modelwave_shared import fields, orders, schema
from modelwave_shared.errors import DocumentError


def _by(rule: Callable[[Any, str], None]) -> BeforeValidator:
    def validate(value: Any) -> Any:
        try:
            rule(value, "")
        except DocumentError as error:
            raise ValueError(error.problem) from error
        return value

    return BeforeValidator(validate)


Name = Annotated[str, _by(fields.name)]
TargetName = Annotated[str, _by(schema.target)]
Text = Annotated[str, _by(fields.text)]
Token = Annotated[str, _by(fields.token)]
TokenOrEmpty = Annotated[str, _by(schema.token_or_empty)]
Url = Annotated[str, _by(fields.url)]
SlotRange = Annotated[list[int], _by(orders.slot_range)]
TrialSeconds = Annotated[int, _by(orders.TRIAL_SECONDS)]
TrialInferences = Annotated[int, _by(orders.TRIAL_INFERENCES)]


def first_problem(error: ValidationError) -> str:
    """Returns the first wrong field and its problem, such as "broker.url: Input should be a valid
    string"."""
    problem = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
