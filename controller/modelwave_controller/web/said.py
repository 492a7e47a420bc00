"""Reads what a call says from an HTTP request: its path, its query, its body. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from modelwave_controller.api.call import AskedT, Call
from modelwave_controller.errors import OperatorError
from modelwave_controller.trust.field_types import first_problem, shown_key

_NUL = "a NUL character is no text: leave it out"


def read(
    call: Call[AskedT, Any],
    path: Mapping[str, str],
    query: list[tuple[str, str]],
    body: bytes,
) -> AskedT:
    """Raises OperatorError, which names the field."""
    model = call.asks
    if any("\0" in value for value in [*path.values(), *(value for _, value in query)]):
        raise OperatorError(_NUL)
    try:
        if call.has_body:
            _require_nothing(query, "the query")
            return model.model_validate(_with(path, _object(body)))
        if body.strip() not in (b"", b"{}"):
            raise OperatorError("the body: this call has none")
        return model.model_validate_strings(_with(path, _once(query)))
    except ValidationError as error:
        raise OperatorError(first_problem(error)) from error


def _with(path: Mapping[str, str], said: Mapping[str, Any]) -> dict[str, Any]:
    if both := path.keys() & said.keys():
        raise OperatorError(f"{min(both)}: it stands in the path: leave it out elsewhere")
    return {**said, **path}


def _require_nothing(query: list[tuple[str, str]], where: str) -> None:
    if query:
        name = shown_key(query[0][0])
        raise OperatorError(f"{name}: {where} has no fields here: the body has them")


def _once(query: list[tuple[str, str]]) -> dict[str, str]:
    found = dict(query)
    if len(found) < len(query):
        raise OperatorError("the query: a field is given twice; give it once")
    return found


def _object(body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}
    try:
        text = body.decode()  # of bytes json.loads guesses the encoding
        found = json.loads(text, object_pairs_hook=_no_doubles, parse_constant=_no_constant)
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise OperatorError("half of a surrogate pair is no text: leave it out") from error
    except (ValueError, RecursionError) as error:
        raise OperatorError(f"the body: no JSON: {error}") from error
    if "\\u0000" in text:
        raise OperatorError(_NUL)
    if not isinstance(found, dict):
        raise OperatorError("the body: give a JSON object")
    return found


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has a field twice")
    return found


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")
