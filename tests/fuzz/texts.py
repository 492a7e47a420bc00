"""The JSON of documents."""

import json
from typing import Any

from modelwave_controller.trust import quick_json
from modelwave_shared import strict_json
from modelwave_shared.errors import JsonError
from modelwave_shared.limits import MAX_NESTING
from tests.core.helpers import UNSIGNED
from tests.fuzz.judging import require_plain


class _Refused(Exception):
    """It is JSON, but not that of documents."""


def strict(data: bytes) -> bool:
    """The reader of devices, the quick one of the controller, and Python's."""
    try:
        found = strict_json.loads(data)
    except JsonError as error:
        require_plain(str(error))
        _compare(data, ("refused", str(error)))
        return False
    _compare(data, ("value", repr(found)))
    return True


def _compare(data: bytes, verdict: tuple[str, str]) -> None:
    assert _verdict(quick_json.loads, data) == verdict
    theirs = _by_python(data)
    assert theirs == verdict or (theirs[0] == verdict[0] == "refused")


def _verdict(loads: Any, data: bytes) -> tuple[str, str]:
    try:
        return "value", repr(loads(data))
    except JsonError as error:
        return "refused", str(error)


def _by_python(data: bytes) -> tuple[str, str]:
    """What strict_json.py says of itself, as conditions on Python's reader."""
    try:
        text = data.decode("ascii")
        if not (text.isprintable() and text):
            raise _Refused
        found = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_refused,
            parse_constant=_refused,
        )
        if "\\u" in text:
            _check_texts(found)
        if _depth(found) > MAX_NESTING:
            raise _Refused
    except (ValueError, RecursionError, _Refused) as error:
        return "refused", str(error)
    return "value", repr(found)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise _Refused
    return dict(pairs)


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > 16 or text == "-0":
        raise _Refused
    return int(text)


def _refused(text: str) -> Any:
    raise _Refused


def _check_texts(value: Any) -> None:
    """A pair of surrogates is one character to Python, and is refused by us."""
    if isinstance(value, str):
        if any(0xD800 <= ord(one) <= 0xDFFF or ord(one) > 0xFFFF for one in value):
            raise _Refused
    elif isinstance(value, list):
        for one in value:
            _check_texts(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            _check_texts(key)
            _check_texts(one)


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


def strict_seeds() -> list[bytes]:
    return [
        *(b"null", b"-1", b"[]", b"[[[[[[]]]]]]", b'"\\u00e9\\n"', b'{"a": [1, true, {"b": ""}]}'),
        *(json.dumps(document).encode() for document in UNSIGNED.values()),
    ]
