"""Pydantic types for settings and plans that accept the same values as the field of a document:
each calls the rule of modelwave_shared."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError

from modelwave_controller.errors import OperatorError
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
ShadowSeconds = Annotated[int, _by(orders.SHADOW_SECONDS)]
ShadowRam = Annotated[int, _by(orders.SHADOW_RAM)]


# Pydantic's types of problems in plain words; {names} are those of its context.
_LIST, _TABLE = "give a list, in square brackets", "give a table: a name and a value for each key"
_NUMBER, _WHOLE, _TEXT = "give a number", "give a whole number", "give a text, in quotes"
_WORDS = {
    "extra_forbidden": "unknown key",
    "missing": "missing; give it",
    "list_type": _LIST,
    "tuple_type": _LIST,
    "dict_type": _TABLE,
    "model_type": _TABLE,
    "model_attributes_type": _TABLE,
    "too_long": "more than {max_length} entries; give at most so many",
    "too_short": "fewer entries than {min_length}; give at least so many",
    "string_type": _TEXT,
    "string_too_long": "more than {max_length} characters; give at most so many",
    "string_too_short": "fewer characters than {min_length}; give at least so many",
    "int_type": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "finite_number": _NUMBER,
    "bool_type": "give true or false",
    "literal_error": "give {expected}",
    "greater_than": "give a number above {gt}",
    "greater_than_equal": "give a number from {ge} on",
    "less_than": "give a number below {lt}",
    "less_than_equal": "give at most {le}",
}


_MAX_SHOWN = 64  # characters of a key


def first_problem(error: ValidationError) -> str:
    """Returns the first wrong field and its problem, such as "broker.user: give a text, in
    quotes"."""
    problem = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(shown_key(str(part)) for part in problem["loc"])
    words = _WORDS.get(problem["type"])
    if words is None:
        message = problem["msg"].removeprefix("Value error, ")
    else:
        message = words.format(**problem.get("ctx", {}))
    # A message of a rule of ours may have the value in it.
    return _printable(f"{where}: {message}" if where else message)


def shown_key(key: str) -> str:
    """Returns a key, which anybody may have sent, as a text for one line."""
    return _printable(key[:_MAX_SHOWN])


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def require(rule: Callable[[Any, str], None], value: object, where: str) -> None:
    """Checks an operator's argument with a rule of modelwave_shared. Raises OperatorError, whose
    message starts with `where`."""
    try:
        rule(value, where)
    except DocumentError as error:
        raise OperatorError(str(error)) from error
